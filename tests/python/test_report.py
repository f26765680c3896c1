"""The curves that notebooks show."""

import math
import re
import unittest
from xml.etree import ElementTree

from l2o._report import curves_html

NAN, INFINITY = math.nan, math.inf


class Report(unittest.TestCase):
    def draw(self, curves, title="title"):
        """The element, and the points of each curve: fractions of the axes."""
        self.page = curves_html(title, curves)
        element = ElementTree.fromstring(self.page.replace("&nbsp;", " ").replace("<br>", "<br/>"))
        axes = re.fullmatch("M(.*),(.*)V(.*)H(.*)", element.find("svg/path").get("d"))
        left, top, bottom, right = map(float, axes.groups())
        return element, [
            [
                ((x - left) / (right - left), (bottom - y) / (bottom - top))
                for x, y in (map(float, point.split(",")) for point in line.get("points").split())
            ]
            for line in element.iter("polyline")
        ]

    def test_axes(self):
        for points, axis, expected in (
            ([(1, 1), (2, 10), (5, 100)], "logarithmic", [(0, 0), (0.25, 0.5), (1, 1)]),
            ([(1, 1e-300), (2, 1e300)], "logarithmic", [(0, 0), (1, 1)]),
            ([(1, 4), (3, 0)], "linear", [(0, 1), (1, 0)]),
            ([(1, -3), (2, -1), (3, 1)], "linear", [(0, 0), (0.5, 0.5), (1, 1)]),
            ([(1, 2), (2, 2)], "logarithmic", [(0, 0), (1, 0)]),
            ([(1, NAN), (2, 3), (3, INFINITY), (4, 5), (5, -INFINITY)], "logarithmic", [(0, 0), (1, 1)]),
        ):
            with self.subTest(points=points):
                _, lines = self.draw({"loss": points})
                self.assertIn(f"({axis})", self.page)
                self.assertEqual(len(lines), 1)
                self.assertEqual(len(lines[0]), len(expected))
                for place, right in zip(lines[0], expected):
                    self.assertAlmostEqual(place[0], right[0], delta=1e-3)
                    self.assertAlmostEqual(place[1], right[1], delta=1e-3)

    def test_curves_have_common_axes(self):
        _, lines = self.draw({"a": [(1, 1), (2, 10)], "b": [(2, 10), (3, 100)], "none": [(9, NAN)]})
        self.assertEqual([[y for _, y in line] for line in lines], [[0, 0.5], [0.5, 1], []])

    def test_no_finite_losses(self):
        for curves in ({}, {"a": []}, {"a": [(1, NAN)], "b": [(2, INFINITY)]}):
            self.assertEqual(curves_html("3 < 4", curves), "<p>3 &lt; 4: no finite losses</p>")

    def test_a_single_point_is_a_dot(self):
        element, lines = self.draw({"a": [(7, 2.5)], "b": [(7, 2.5), (8, 5)]})
        self.assertEqual(lines, [[(0, 0)], [(0, 0), (1, 1)]])
        circles = list(element.iter("circle"))
        self.assertEqual(len(circles), 1)
        dot, line = circles[0], element.find("svg/polyline")
        self.assertEqual(f"{dot.get('cx')},{dot.get('cy')}", line.get("points"))
        self.assertEqual(dot.get("fill"), line.get("stroke"))

    def test_any_number_of_curves(self):
        names = list("abcdefg")
        element, lines = self.draw({name: [(1, 1), (2, 2)] for name in names})
        self.assertEqual(len(lines), len(names))
        self.assertEqual([span.tail.split()[0] for span in element.iter("span")], names)
        for line, span in zip(element.iter("polyline"), element.iter("span")):
            self.assertEqual(span.get("style"), f"color:{line.get('stroke')}")

    def test_title_and_names_are_plain_text(self):
        element, _ = self.draw({"<i>&amp;": [(1, 1)]}, title="<script>'\"&")
        self.assertEqual(element.find("b").text, "<script>'\"&")
        self.assertEqual(element.find("span").tail, " <i>&amp; (logarithmic)")

    def test_labels(self):
        for points, expected in (
            ([(1, 1.234e-5), (1234567, 4.5)], ["4.5", "1.23e-05", "1", "1234567 episodes"]),
            (
                [(1234567, -1.234e-300), (12345678, -1.234e300)],
                ["-1.23e-300", "-1.23e+300", "1234567", "12345678 episodes"],
            ),
        ):
            element, _ = self.draw({"loss": points})
            width = float(element.find("svg").get("width"))
            labels = list(element.iter("text"))
            self.assertEqual([label.text for label in labels], expected)
            for label in labels:
                pixels = 0.65 * float(label.get("font-size")) * len(label.text)  # in a wide font
                after = {"middle": 0.5, "end": 0.0}[label.get("text-anchor")] * pixels
                end = float(label.get("x")) + after
                self.assertGreaterEqual(end - pixels, 0, label.text)
                self.assertLessEqual(end, width, label.text)


if __name__ == "__main__":
    unittest.main()
