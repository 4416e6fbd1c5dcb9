"""One module per kind of figure, each with its declaration `FIGURE` and its `draw`. Import them one by one."""
