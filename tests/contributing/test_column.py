"""A column from the fit: where it is measured, and the line that declares it. Two files."""

from __future__ import annotations

CHANGES = {
    # the fit puts a number down under the name of its column
    "fitting/store.py": [
        (
            "    fitted.values[rows], fitted.chi2[rows], fitted.snr[rows] = values, chi2, snr\n",
            "    fitted.values[rows], fitted.chi2[rows], fitted.snr[rows] = values, chi2, snr\n"
            '    fitted.put("expected_chi2", rows, mean)\n',
        )
    ],
    # and the catalogue says what it is
    "results/columns.py": [
        (
            '    Column(\n        "n_iter",',
            '    Column("expected_chi2", _NONE, "Chi-square that the noise alone would give", ".1f", _fitted("expected_chi2")),\n'
            '    Column(\n        "n_iter",',
        )
    ],
}


def test_a_column_from_the_fit_touches_two_files(changed_package):
    run = changed_package(CHANGES, most=2)
    printed = run("""
FIT
table = catalogue.table
assert table["expected_chi2"].description == "Chi-square that the noise alone would give" and table["expected_chi2"].format == ".1f"
assert table.colnames.index("expected_chi2") + 1 == table.colnames.index("n_iter")
for ending in ("fits", "ecsv", "parquet"):
    again = autogal.read(catalogue.write(f"a.{ending}")).table
    assert again["expected_chi2"][0] == table["expected_chi2"][0] and again["expected_chi2"].description
joined = autogal.Catalogue.join([catalogue, catalogue]).table
print(table["expected_chi2"][0], table["chi2_dof"][0], len(joined["expected_chi2"]))
""")
    expected, reduced, rows = map(float, printed.split())
    assert 0.8 * 48**2 < expected < 48**2 and 0.8 < reduced < 1.2 and rows == 2


def test_of_several_models_it_is_the_chosen_ones(changed_package):
    printed = changed_package(CHANGES, most=2)(
        """
FIT
print(catalogue.table["model"][0], catalogue.table["expected_chi2"][0])
""",
        model=["sersic", "exponential"],
    )
    assert 0.8 * 48**2 < float(printed.split()[1]) < 48**2
