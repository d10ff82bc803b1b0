#!/bin/sh
# Unpacks Trino's server from Maven Central into a folder, with the two plugins that the judge needs: install.sh VERSION FOLDER
# Maven keeps the archive (821 MB) in its own folder, so that it is fetched once.
set -eu
version=$1 folder=$2
server="$folder/trino-server-$version"
test ! -e "$server/.ready" || exit 0
command -v mvn >/dev/null || { echo "There is no mvn to fetch Trino with. On Debian and Ubuntu: sudo apt install maven"; exit 1; }
echo "Fetching Trino $version (821 MB, once) …"
mvn -B -q -ntp dependency:get -Dtransitive=false -Dartifact="io.trino:trino-server:$version:tar.gz" \
    -Dmaven.repo.local="${MAVEN_REPOSITORY:=$HOME/.m2/repository}"
rm -rf "$server"
mkdir -p "$folder"
tar xzf "$MAVEN_REPOSITORY/io/trino/trino-server/$version/trino-server-$version.tar.gz" -C "$folder"
find "$server/plugin" -mindepth 1 -maxdepth 1 ! -name iceberg ! -name memory -exec rm -rf {} +
touch "$server/.ready"
