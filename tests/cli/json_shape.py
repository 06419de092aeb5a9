"""usage: json_shape.py JSON.md SHAPE <DOCUMENT: is the document of that shape, as docs/JSON.md has it?"""
import json
import re
import sys

PLAIN = {"string": str, "number": int, "bool": bool}


def read_shapes(path):
    with open(path, encoding="ascii") as file:
        block = file.read().split("```")[1]
    return dict(line.split(": ", 1) for line in block.strip().splitlines())


class Parser:
    """Of the notation: a name, [type], {member: type, optional?: type} or {*: type}."""

    def __init__(self, text):
        self.words = re.findall(r"[a-z_]+\??|[*\[\]{}:,]", text)

    def take(self, word):
        found = self.words.pop(0)
        assert found == word, f"{found}, expected {word}"

    def type(self):
        word = self.words.pop(0)
        if word == "[":
            element = self.type()
            self.take("]")
            return [element]
        if word != "{":
            return word
        members = {}
        while True:
            name = self.words.pop(0)
            self.take(":")
            members[name] = self.type()
            word = self.words.pop(0)
            if word == "}":
                return members


def check(value, shape, shapes, where):
    if isinstance(shape, str) and shape in shapes:
        shape = Parser(shapes[shape]).type()
    if isinstance(shape, str):
        assert type(value) is PLAIN[shape], f"{where} is {value!r}, expected a {shape}"
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where} is no array"
        for i, element in enumerate(value):
            check(element, shape[0], shapes, f"{where}[{i}]")
    else:
        assert isinstance(value, dict), f"{where} is no object"
        for name in value:
            member = next((shape[n] for n in (name, name + "?", "*") if n in shape), None)
            assert member, f"{where}.{name} is not documented"
            check(value[name], member, shapes, f"{where}.{name}")
        for name in shape:
            assert name == "*" or name.endswith("?") or name in value, f"{where}.{name} is missing"


def main():
    shapes = read_shapes(sys.argv[1])
    try:
        check(json.load(sys.stdin), sys.argv[2], shapes, sys.argv[2])
    except AssertionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
