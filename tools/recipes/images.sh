# shellcheck shell=bash disable=SC2034 # read by tools/mkimage
# The default images: one row in each table a name. Every image but `base` and `bash` is the base and one layer above it.
#
# packages   what is installed on top of the base; Debian names, without recommended packages
# version    the package whose version the image is labelled with (default: the first of `packages`)
# exclude    paths of those packages that nobody running programs needs, in dpkg's patterns (--path-exclude)
# command    what the image runs when nothing is asked for (default: bash)

# Essential packages without apt: 15 MB (zstd) against 25 MB with it, and a job never installs anything. Who wants apt
# inside takes `debian`. Certificates are here because most languages want them, and here they are stored once.
base_packages=(usr-is-merged ca-certificates)

declare -A packages=(
	[bash]=''
	[debian]='apt debian-archive-keyring'
	[python]='python3'
	[node]='nodejs'
	[c]='gcc g++ make libc6-dev'
	[go]='golang-go'
	[java]='openjdk-17-jdk-headless'
	[ruby]='ruby'
	[php]='php-cli'
	[perl]='perl'
	[lua]='lua5.4'
	[typescript]='nodejs node-typescript'
)
order=(base bash debian python node c go java ruby php perl lua typescript)

declare -A version=([base]=base-files [bash]=bash [typescript]=node-typescript)

declare -A exclude=(
	[c]='/usr/lib/gcc/*/*/lto1 /usr/bin/*lto-dump*'
	[go]='/usr/share/go-*/test/* /usr/share/go-*/api/*'
	[java]='/usr/lib/jvm/*/jmods/* /usr/lib/jvm/*/lib/src.zip'
	[perl]='/usr/share/perl/*/pod/*'
	[python]='/usr/share/gdb/*'
)

declare -A command=([python]=python3 [node]=node [java]=jshell [ruby]=irb [php]='php -a' [lua]=lua5.4)

# In no image: manuals, translations and other things read by people. Licences stay.
base_exclude=(man doc locale info i18n lintian bug bash-completion)
