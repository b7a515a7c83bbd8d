"""Checks an SBOM: check_sbom.py SBOM EXPECTED

SBOM is valid by the schema of CycloneDX, has a licence for each component, and lists the crates of EXPECTED, which
has "name vVERSION ..." a line as cargo tree writes it, and no other.
"""

import json
import pathlib
import sys

import cyclonedx
import jsonschema

schemas = pathlib.Path(cyclonedx.__file__).parent / "schema" / "_res"


def schema(name):
    return json.loads((schemas / f"{name}.SNAPSHOT.schema.json").read_text())


def main():
    path, expected_file = map(pathlib.Path, sys.argv[1:3])
    text = path.read_text()
    sbom = json.loads(text)

    main_schema = schema("bom-" + sbom["specVersion"])
    # The schemas that it refers to by name are in the same folder.
    store = {f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json": schema(name) for name in ("spdx", "jsf-0.82")}
    resolver = jsonschema.RefResolver.from_schema(main_schema, store=store)
    validator = jsonschema.Draft7Validator(main_schema, resolver=resolver)
    problems = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(sbom)]

    components = [sbom["metadata"]["component"], *sbom["components"]]
    problems += [f"{part['name']} has no licence" for part in components if not part.get("licenses")]
    listed = {f"{part['name']} v{part['version']}" for part in components}
    expected = {" ".join(line.split()[:2]) for line in expected_file.read_text().splitlines()}
    problems += [f"{crate} is missing" for crate in sorted(expected - listed)]
    problems += [f"{crate} does not ship" for crate in sorted(listed - expected)]

    for problem in problems:
        print(f"{path}: {problem}")
    print(f"{path}: CycloneDX {sbom['specVersion']}, {len(components)} components")
    return bool(problems) or not expected


if __name__ == "__main__":
    sys.exit(main())
