// Words of the admin's own scripts that Django's Italian lacks, so that our catalogue has them. No page loads this.

gettext('Choose %s by selecting them and then select the "Choose" arrow button.');
gettext('Remove %s by selecting them and then select the "Remove" arrow button.');
gettext("Choose all %s");
gettext("Remove all %s");
gettext("Choose selected %s");
gettext("Remove selected %s");
gettext("(click to clear)");
