import re
from html.parser import HTMLParser

import pytest

from gradmix.results.experiment import read_experiment
from gradmix.results.figures import accuracy, samples
from gradmix.results.figures.writer import write_figure
from gradmix.results.paper import URL
from gradmix.results.report import TEMPLATE, write_report

NASTY = "<script>alert('x')</script> & \"more\""
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def write(experiment, methods, output, **changes):
    files = experiment.files
    records = read_experiment(
        files["metrics"],
        files["runs"],
        methods,
        split_files=files["splits"],
        enlarged_files=files["enlarged"],
        domain_files=files["domains"],
        paper="digits",
    )
    settings = {
        "title": "Invented digits",
        "configuration": "title: x\n",
        "ensemble_files": files["ensembles"],
        "summary_files": files["summaries"],
        "quality_files": files["quality"],
    }
    return write_report(output, records, **(settings | changes)).read_text(encoding="utf-8")


def described(section, file, label=""):
    return {"section": section, "title": "T", "caption": "C", "label": label, "file": file}


def test_the_page_stands_alone(experiment, methods, tmp_path):
    files = experiment.files
    of_metrics = {"metrics": files["metrics"]}
    write_figure(accuracy.__name__, tmp_path / "accuracy", of_metrics, {"methods": methods})
    of_domains = {"domains": files["domains"], "split": files["splits"]}
    write_figure(samples.__name__, tmp_path / "samples", of_domains, {})
    figures = [
        described("accuracy", tmp_path / "accuracy.svg"),
        described("data", tmp_path / "samples.png", label="k = 3"),
    ]
    text = write(experiment, methods, tmp_path / "report.html", figures=figures)
    page = Page(text)
    assert page.open == []
    assert [image["src"][:22] for image in page.all("img")] == [
        "data:image/svg+xml;bas",
        "data:image/png;base64,",
    ]
    assert all(image["alt"] for image in page.all("img"))
    assert {link["href"] for link in page.all("a") if not link["href"].startswith("#")} == {URL}
    assert not page.all("script")
    assert not page.all("link")
    assert "url(" not in text
    assert "@import" not in text
    anchors = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    assert anchors <= {attributes.get("id") for _, attributes in page.tags}
    assert len(page.all("h1")) == 1
    assert page.all("html") == [{"lang": "en"}]
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))


def test_the_story(experiment, methods, tmp_path):
    text = Page(write(experiment, methods, tmp_path / "report.html")).text
    said = re.sub(r"\s+", " ", text)
    for sentence in (
        "Transfer from rendered_5_9 and digits_low to digits_high",
        "k = 3 and 5 images per class are labelled, over 3 draws",
        "other classes than the target",
        "Clearly worse: Target only (−18.00 points, the same in every draw), Source only (sum) "
        "(−10.00 points, −17.3 SE)",
        "Cannot be separated from it by these draws: GradMix, fixed rate (−1.00 points, −1.7 SE)",
        "Holm's correction over all rows compared with one reference at one k",
        "12 comparisons were made here",
        "H holds 10 labelled target images",
        "In 2 runs (Fine-tune) the best checkpoint lies in the last tenth",
        "no pseudo-label accepted: trained without S_u (GradMix, hard labels, k = 3, draw 1)",
        "beta10-gamma0.6 (91.0 %)",
        "all 2 models agree and each is above 0.8",
        "Target only: −5.15 at k = 3 (−3.5 SE)",
        "invented processor",
        "−1.00 points",
    ):
        assert sentence in said, sentence


def test_user_text_is_escaped(experiment, methods, tmp_path):
    methods[0]["title"] = NASTY
    text = write(
        experiment, methods, tmp_path / "report.html", title=NASTY, configuration=f"title: {NASTY}"
    )
    assert "<script" not in text
    assert Page(text).text.count(NASTY) >= 4


def test_classes_are_called_what_the_configuration_calls_them(experiment, methods, tmp_path):
    names = {"digits_high": ["five", "six", "7", "8", "<9>"], "digits_low": None}
    text = Page(write(experiment, methods, tmp_path / "report.html", classes=names)).text
    assert "5 classes (digits_5_9): five, six, 7, 8, <9>" in text
    assert "5 classes (digits_0_4): 0, 1, 2, 3, 4" in text


def test_a_title_turns_nothing_around(experiment, methods, tmp_path):
    methods[0]["title"] = "evil\u202e"
    text = write(experiment, methods, tmp_path / "report.html", title="a\u202eb\x07")
    assert not set("\u202e\x07") & set(text)
    assert "<title>ab" in text


def test_one_draw_and_little_else(empty_experiment, methods, tmp_path):
    file = empty_experiment.metrics("gradmix", 3, 0, 0.9, accuracy_statistics_on_V=None)
    other = empty_experiment.metrics("fine_tune", 3, 0, 0.8, accuracy_statistics_on_V=None)
    records = read_experiment([file, other], [], methods)
    output = write_report(tmp_path / "report.html", records, title="One", configuration="")
    page = Page(output.read_text(encoding="utf-8"))
    assert "There is one draw of the few labels only" in page.text
    assert "Fine-tune (−10.00 points, one draw)" in page.text
    assert "Statistics were not re-estimated" in page.text
    assert "paper" not in page.text.lower()
    assert "nan" not in re.findall(r"\w+", page.text.lower())


def test_bad_figures(experiment, methods, tmp_path):
    output = tmp_path / "report.html"
    for file, message in (
        ("x.pdf", r"x\.pdf: the report embeds \.svg and \.png"),
        (tmp_path / "x.svg", r"x\.svg: cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            write(experiment, methods, output, figures=[described("accuracy", file)])
    assert not output.exists()


def test_a_figure_that_could_not_be_drawn_is_named_in_its_place(experiment, methods, tmp_path):
    (tmp_path / "x.failed").write_text("runs/<a>/run.json: no numbers")
    figures = [described("accuracy", tmp_path / "x.svg", label="k = 3")]
    page = Page(write(experiment, methods, tmp_path / "report.html", figures=figures))
    assert "This figure could not be drawn: runs/<a>/run.json: no numbers" in page.text
    assert not page.all("img")


def test_the_template_is_beside_the_module():
    assert TEMPLATE.is_file()
