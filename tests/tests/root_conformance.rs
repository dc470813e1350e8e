//! The conformance suite on a wire between two network namespaces, on each of the paths there.

mod native {
    tests::conformance!(tests::rig::Path::Native);
}

mod generic {
    tests::conformance!(tests::rig::Path::Generic);
}

mod sockets {
    tests::conformance!(tests::rig::Path::Sockets);
}
