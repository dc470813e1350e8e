//! The suite of the HTTP and WebTorrent points at every door, which needs no privilege.

mod plain {
    tests::doors!(tests::web::house::Door::Plain);
}

mod tls {
    tests::doors!(tests::web::house::Door::Tls);
}

mod header {
    tests::doors!(tests::web::house::Door::Header);
}

mod proxy_v1 {
    tests::doors!(tests::web::house::Door::ProxyV1);
}

mod proxy_v2 {
    tests::doors!(tests::web::house::Door::ProxyV2);
}

mod unix {
    tests::doors!(tests::web::house::Door::Unix);
}
