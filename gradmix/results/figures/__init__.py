"""One module per figure, each with `draw` and `write`; they share only `style`. Import them one by one."""
