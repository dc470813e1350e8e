//! Real clients at two nodes of a cluster, with the XDP path attached at both.

#[test]
fn libtorrent_at_one_node_and_aria2_at_another_move_a_file() {
    tests::cluster::transfer_between_nodes();
}
