"""Archives and names made to do harm, for the tests of every room that meets them."""
