# shellcheck shell=bash disable=SC2034 # read by tools/mkimage
# The default images: one row in each table a name. Every image but `base` and `bash` is the base and one layer above it.
#
# packages   what is installed on top of the base; Debian names, without recommended packages (see packages_in)
# version    the package whose version the image is labelled with (default: the first of `packages`)
# exclude    paths of those packages that nobody running programs needs, in dpkg's patterns (--path-exclude)
# finish     NAME/RELEASE: a line of shell run inside when the packages are there, without a network
# command    what the image runs when nothing is asked for (default: bash)

# Essential packages without apt: 15 MB (zstd) against 25 MB with it, and a job never installs anything. Who wants apt
# inside takes `debian`. Certificates, time zones and locales are here because most languages want them, and here they are
# stored once. `locales` is there to make base_locales and has no data of its own left afterwards.
base_packages=(usr-is-merged ca-certificates tzdata locales)

# UTF-8 locales beside C.UTF-8, which is there always, and POSIX: what programs ask for that sort, or print numbers and dates.
# LANG stays C.UTF-8.
base_locales=(de_DE en_GB en_US es_ES fr_FR it_IT ja_JP ko_KR pt_BR ru_RU zh_CN)

declare -A packages=(
	[bash]=''
	[debian]='apt debian-archive-keyring'
	[python]='python3'
	[python-numpy]='python3 python3-numpy'
	[node]='nodejs'
	[c]='gcc g++ make libc6-dev'
	[go]='golang-go'
	[java]='openjdk-21-jdk-headless'
	[ruby]='ruby'
	[php]='php-cli php-bcmath php-curl php-gmp php-intl php-mbstring php-sqlite3 php-xml php-zip'
	[perl]='perl'
	[lua]='lua5.4'
	[typescript]='nodejs node-typescript'
)
# where a release has it under another name: NAME/RELEASE
declare -A packages_in=([java/bookworm]='openjdk-17-jdk-headless')
order=(base bash debian python python-numpy node c go java ruby php perl lua typescript)

declare -A version=([base]=base-files [bash]=bash [python-numpy]=python3-numpy [typescript]=node-typescript)

declare -A exclude=(
	[c]='/usr/lib/gcc/*/*/lto1 /usr/libexec/gcc/*/*/lto1 /usr/bin/*lto-dump*'
	[go]='/usr/share/go-*/test/* /usr/share/go-*/api/*'
	[java]='/usr/lib/jvm/*/jmods/* /usr/lib/jvm/*/lib/src.zip'
	[perl]='/usr/share/perl/*/pod/*'
	[python]='/usr/share/gdb/*'
	[python-numpy]='/usr/share/gdb/* /usr/include/*'
)

# Go has shipped no compiled standard library since 1.20, and a job's cache is empty: each compile would compile it
# first, for half a minute. The runtime's GODEBUG makes the compiler look for it where this puts it.
declare -A finish=(
	[go/trixie]='GODEBUG=installgoroot=all CGO_ENABLED=0 GO111MODULE=off GOCACHE=/tmp/go-cache go install std'
)

declare -A command=([python]=python3 [python-numpy]=python3 [node]=node [java]=jshell [ruby]=irb [php]='php -a' [lua]=lua5.4)

# In no image: manuals, translations and other things read by people. Licences stay.
base_exclude=(man doc locale info i18n lintian bug bash-completion)
