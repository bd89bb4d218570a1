#!/bin/sh
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

# Sends a made-up crash of Firefox with its minidump, as Firefox does (gzip added), and shows the answer.
# Usage: bin/send_crash_report.sh [URL]
# If no URL is given, it is http://127.0.0.1:8000/submit, or with the port that the environment variable PORT names.

set -eu

url=${1:-http://127.0.0.1:${PORT:-8000}/submit}
root=$(cd "$(dirname "$0")/.." && pwd)
minidump=$root/bin/sample_crash.dmp
boundary="-----------------------------$(date +%s)$$"

# In a container with a read-only file system, only the volume of the spool can be written.
files=$(mktemp -d 2>/dev/null || mktemp -d -p "${BREAKPAD_TEMP_DIR:-.}")
trap 'rm -rf "$files"' EXIT
trap 'exit 1' HUP INT TERM

annotations() {
    cat <<END
{
  "ProductName": "Firefox",
  "ProductID": "{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
  "Vendor": "Mozilla",
  "Version": "153.0a1",
  "BuildID": "$(date -u +%Y%m%d)093012",
  "ReleaseChannel": "nightly",
  "CrashTime": "$(date +%s)",
  "StartupTime": "$(($(date +%s) - 1800))",
  "InstallTime": "$(($(date +%s) - 86400))",
  "UptimeTS": "1800.5",
  "SecondsSinceLastCrash": "604800",
  "TotalPhysicalMemory": "33567141888",
  "AvailablePhysicalMemory": "17179869184",
  "Notes": "Sent by send_crash_report.sh",
  "SubmittedFrom": "Client",
  "Throttleable": "1",
  "useragent_locale": "en-US",
  "Email": "somebody@example.com"
}
END
}

body() {
    # Each line ends in CR LF (RFC 2046, section 4.1.1).
    printf -- '--%s\r\n' "$boundary"
    printf 'Content-Disposition: form-data; name="extra"; filename="extra.json"\r\n'
    printf 'Content-Type: application/json\r\n\r\n'
    annotations
    printf -- '\r\n--%s\r\n' "$boundary"
    printf 'Content-Disposition: form-data; name="upload_file_minidump"; filename="crash.dmp"\r\n'
    printf 'Content-Type: application/octet-stream\r\n\r\n'
    cat "$minidump"
    printf -- '\r\n--%s--\r\n' "$boundary"
}

# Writes the answer to a file and prints the status. Machines without curl have Python.
send() {
    content_type="multipart/form-data; boundary=$boundary"
    if command -v curl >/dev/null; then
        curl --silent --show-error --max-time 60 --output "$files/answer" --write-out '%{http_code}' \
            --user-agent send_crash_report.sh --header "Content-Type: $content_type" \
            --header 'Content-Encoding: gzip' --data-binary "@$files/body.gz" "$url"
    else
        python3 - "$url" "$files" "$content_type" <<'END'
import sys, urllib.error, urllib.request
url, files, content_type = sys.argv[1:]
headers = {"Content-Type": content_type, "Content-Encoding": "gzip", "User-Agent": "send_crash_report.sh"}
request = urllib.request.Request(url, open(f"{files}/body.gz", "rb").read(), headers)
try:
    answer = urllib.request.urlopen(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(str(error))
open(f"{files}/answer", "wb").write(answer.read())
print(answer.status)
END
    fi
}

body | gzip -c >"$files/body.gz"

echo "Sending $(wc -c <"$files/body.gz" | tr -d ' ') bytes to $url"
status=$(send) || {
    echo "No answer from $url. Is a collector running there? 'make run' starts one on port 8000." >&2
    exit 1
}

echo "Status: $status"
printf 'Answer: '
cat "$files/answer"
echo

crash_id=$(sed -n 's/^CrashID=bp-//p' "$files/answer")
if [ "$status" != 200 ] || [ -z "$crash_id" ]; then
    echo "The crash was not kept." >&2
    exit 1
fi

# The last six characters of a crash id are its date.
date=20$(printf %s "$crash_id" | tail -c 6)
cat <<END
The crash is kept. Its objects, in the bucket or (with 'make run') in .local/crashes:
  v1/raw_crash/$date/$crash_id  (annotations, and what the collector added)
  v1/dump_names/$crash_id  (names of the dumps)
  v1/dump/$crash_id  (the minidump)
Its id waits for a processor on the topic, or (with 'make run') as a file in .local/queue.
What crashed, and where: bin/show_crash.py $crash_id
END
