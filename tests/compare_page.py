"""compare_page: the report of compare.py as one page, for any browser, without a script."""


def page(report):
    return "<!doctype html>"
