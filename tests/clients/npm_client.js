// The scenarios of bittorrent-tracker's own client tests (version 9.19.0: client, client-large-torrent, client-magnet,
// client-ws-socket-pool, destroy, scrape), against a tracker at an address, with exact expectations where those tests
// look at types only. Scenarios that never reach a tracker are not here.
//
// Usage: npm_client.js ANNOUNCE_URL...    with NODE_PATH naming the npm packages
//        npm_client.js oracle udp|http|ws  against the tracker that comes with the same package
// Several URLs are several doors to one tracker. Prints a line for each scenario; the exit status is 1 if one fails.
'use strict'

const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const dgram = require('node:dgram')
const { EventEmitter, once } = require('node:events')
const http = require('node:http')
const net = require('node:net')
const Client = require('bittorrent-tracker')
const bencode = require('bencode')
const compact2string = require('compact2string')

const PATIENCE = 20_000
const TORRENT = 700 * 1024 ** 3 // bytes: more than 32 bits can tell

let doors = process.argv.slice(2)
let oracle = null
let url

/** A peer ID of this scenario's own, with bytes that are no ASCII. */
const id = () => randomBytes(20)

/** An info hash of this scenario's own. The package reads the keys of an HTTP scrape as UTF-8, so there it is ASCII. */
const hash = () => doors.some((door) => door.startsWith('http')) ? id().map((byte) => byte & 0x7f) : id()

/** A port that nothing listens on: it is only announced. */
let lastPort = 20_000
const nextPort = () => ++lastPort

/** Waits for an event and fails on a warning or an error of the client, or after a while. */
async function next (client, event) {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), PATIENCE)
  const fault = (error) => { client.fault = error; stop.abort() }
  client.once('warning', fault)
  try {
    const [value] = await once(client, event, { signal: stop.signal })
    return value
  } catch (error) {
    throw client.fault ?? new Error(`waited in vain for ${event}: ${error.message}`)
  } finally {
    clearTimeout(timer)
    client.removeListener('warning', fault)
  }
}

/** One side of a WebRTC connection that consists of its descriptions alone: the tracker never looks into them. */
class Side extends EventEmitter {
  constructor ({ initiator = false } = {}) {
    super()
    this.heard = null
    if (initiator) this.say('offer')
  }

  say (type) {
    this.said = { type, sdp: `v=0\r\ns=${id().toString('base64')} "\\ \u2028 \u{1f30a}\r\n` }
    process.nextTick(() => this.emit('signal', this.said))
  }

  signal (description) {
    this.heard = description
    if (description.type === 'offer') this.say('answer')
    this.emit('heard')
  }

  destroy () {}
}

/**
 * An address of the tracker for one client alone: clients of one process share a WebSocket where they have the same
 * address, and then hear what is meant for another.
 */
let addresses = 0
const address = () => url.startsWith('ws') ? `${url}?client=${++addresses}` : url

function client ({ infoHash = hash(), announce = address(), ...rest } = {}) {
  const made = new Client({ infoHash, announce, peerId: id(), port: nextPort(), wrtc: {}, ...rest })
  made.on('error', (error) => made.emit('warning', error))
  made.setMaxListeners(50)
  made.peers = []
  made.on('peer', (peer) => made.peers.push(peer))
  for (const tracker of made._trackers) tracker._createPeer = (options) => new Side(options)
  return made
}

/** What an action of a client is answered. */
async function answer (client, action, options) {
  const answered = next(client, 'update')
  client[action](options)
  const { announce } = await answered
  assert.strictEqual(announce, client._trackers[0].announceUrl)
  return answered
}

const close = (client) => new Promise((resolve, reject) => {
  client.destroy((error) => error ? reject(error) : resolve())
})

const scrape = (infoHash, announce = address()) => new Promise((resolve, reject) => {
  Client.scrape({ infoHash, announce, wrtc: {} }, (error, found) => error ? reject(error) : resolve(found))
})

/** Asks again until an answer is as it should be. */
async function until (awaited, ask, good) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const found = await ask()
    if (good(found)) return found
    assert(Date.now() < deadline, `never ${awaited}: ${JSON.stringify(found)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function counts (answered, complete, incomplete) {
  assert.deepStrictEqual(
    { complete: answered.complete, incomplete: answered.incomplete }, { complete, incomplete })
}

async function downloads (infoHash, number) {
  const found = await scrape(infoHash.toString('hex'))
  assert.strictEqual(found.infoHash, infoHash.toString('hex'))
  assert.strictEqual(found.downloaded, number)
  return found
}

/** The scenarios for every protocol. */
const everywhere = {
  async 'start and stop' () {
    const one = client()
    counts(await answer(one, 'start'), 0, 1)
    counts(await answer(one, 'stop'), 0, 0)
    await close(one)
  },

  async 'a stop that is sent before destroying arrives, and is heard by nobody' () {
    const infoHash = hash()
    const one = client({ infoHash })
    await answer(one, 'start')
    one.on('update', () => { one.heard = true })
    one.stop()
    await close(one)
    await until('stopped', () => scrape(infoHash.toString('hex')), (found) => found.incomplete === 0)
    assert(!one.heard, 'a destroyed client told of an answer')
  },

  async 'no answer is told after destroying' () {
    const one = client()
    one.on('update', () => { one.heard = true })
    one.update()
    await close(one)
    assert(!one.heard, 'a destroyed client told of an answer')
  },

  async 'updates come by themselves' () {
    const one = client()
    counts(await answer(one, 'start'), 0, 1)
    const [tracker] = one._trackers
    const { announce } = tracker
    let [asked, answered] = [0, 0]
    tracker.announce = (options) => { asked++; announce.call(tracker, options) }
    one.on('update', () => { answered++ })
    one.setInterval(50)
    counts(await next(one, 'update'), 0, 1)
    // On a busy machine a second request may be on its way before the first is answered.
    one.setInterval(0)
    await until('answered each', () => asked - answered, (open) => open === 0)
    counts(await answer(one, 'stop'), 0, 0)
    await close(one)
  },

  async 'scrape of one' () {
    const one = client()
    const scraped = next(one, 'scrape')
    one.scrape()
    const found = await scraped
    counts(found, 0, 0)
    assert.strictEqual(found.downloaded, 0)
    assert.strictEqual(found.infoHash, one.infoHash)
    await close(one)
  },

  async 'scrape of several' () {
    const hashes = [hash(), hash(), hash()]
    const seeder = client({ infoHash: hashes[0] })
    const leechers = [client({ infoHash: hashes[1] }), client({ infoHash: hashes[1] })]
    await answer(seeder, 'start', { left: 0 })
    for (const leecher of leechers) await answer(leecher, 'start', { left: 1 })
    const names = hashes.map((each) => each.toString('hex'))
    const found = await scrape(names)
    assert.deepStrictEqual(Object.keys(found).sort(), [...names].sort())
    counts(found[names[0]], 1, 0)
    counts(found[names[1]], 0, 2)
    counts(found[names[2]], 0, 0)
    for (const each of [seeder, ...leechers]) await close(each)
  },

  async 'parameters that no tracker knows' () {
    let asked = 0
    const getAnnounceOpts = () => { asked++; return { another: 'ä & = + %' } }
    const one = client({ getAnnounceOpts })
    counts(await answer(one, 'start', { testParam: 'this is a test' }), 0, 1)
    assert.strictEqual(asked, 1)
    counts(await answer(one, 'stop'), 0, 0)
    await close(one)
  },

  async 'a large torrent' () {
    const one = client()
    counts(await answer(one, 'start', { left: TORRENT, uploaded: 0, downloaded: 0 }), 0, 1)
    counts(await answer(one, 'update', { left: 1, uploaded: TORRENT, downloaded: TORRENT - 1 }), 0, 1)
    counts(await answer(one, 'complete', { left: 0, uploaded: TORRENT, downloaded: TORRENT }), 1, 0)
    counts(await answer(one, 'stop', { left: 0, uploaded: TORRENT, downloaded: TORRENT }), 0, 0)
    await close(one)
  },

  async 'a magnet link, whose size is not known yet' () {
    const one = client()
    counts(await answer(one, 'start'), 0, 1)
    counts(await answer(one, 'update'), 0, 1)
    counts(await answer(one, 'stop'), 0, 0)
    await close(one)
  },

  async 'complete is counted once' () {
    const infoHash = hash()
    const one = client({ infoHash })
    counts(await answer(one, 'start', { left: 9 }), 0, 1)
    await downloads(infoHash, 0)
    counts(await answer(one, 'complete', { left: 0 }), 1, 0)
    counts(await downloads(infoHash, 1), 1, 0)
    counts(await answer(one, 'complete', { left: 0 }), 1, 0)
    await downloads(infoHash, 1)
    counts(await answer(one, 'stop', { left: 0 }), 0, 0)
    // The package's own tracker keeps no number of downloads: it tells that of seeders.
    if (!oracle) await downloads(infoHash, 1)
    await close(one)
  },

  async 'a seeder and a leecher' () {
    const infoHash = hash()
    const [seeder, leecher] = [client({ infoHash }), client({ infoHash })]
    counts(await answer(seeder, 'start', { left: 0 }), 1, 0)
    // To the package's own tracker an answer to an offer is an announce, which brings a stopped seeder back.
    counts(await answer(leecher, 'start', { left: 1, numwant: oracle ? 0 : 5 }), 1, 1)
    counts(await answer(seeder, 'stop', { left: 0 }), 0, 1)
    counts(await answer(leecher, 'stop', { left: 1 }), 0, 0)
    for (const each of [seeder, leecher]) await close(each)
  }
}

/** Those of lists with addresses: UDP and HTTP. */
const lists = {
  async 'as many peers as wanted' () {
    const infoHash = hash()
    const others = [client({ infoHash }), client({ infoHash })]
    for (const other of others) await answer(other, 'start', { left: 1 })
    const places = others.map((other) => `${host()}:${other._port}`)

    const one = client({ infoHash })
    counts(await answer(one, 'start', { numwant: 1, left: 1 }), 0, 3)
    assert.strictEqual(one.peers.length, 1)
    // The package's own tracker may hand a client its own address.
    if (!oracle) assert(places.includes(one.peers[0]), `${one.peers} is none of ${places}`)
    one.peers.length = 0
    await answer(one, 'update', { numwant: 0, left: 1 })
    // The package's own tracker takes 0 for no wish.
    if (!oracle) assert.deepStrictEqual(one.peers, [])
    one.peers.length = 0
    await answer(one, 'update', { left: 1 })
    const given = one.peers.filter((peer) => peer !== `${host()}:${one._port}`)
    assert.deepStrictEqual(given.sort(), places.sort())
    if (!oracle) assert.strictEqual(one.peers.length, 2, 'a client is not in its own list')
    for (const each of [one, ...others]) await close(each)
  }
}

/** Those of requests that only HTTP has. */
const webAlone = {
  async 'a list of dictionaries' () {
    const infoHash = hash()
    const [one, other] = [client({ infoHash }), client({ infoHash })]
    await answer(other, 'start', { left: 1 })
    const answered = await answer(one, 'start', { left: 1, compact: 0 })
    const peer = answered.peers.find(({ port }) => port === other._port)
    assert.strictEqual(String(peer.ip), host().replace(/[[\]]/g, ''))
    for (const each of [one, other]) await close(each)
  },

  async 'a user agent, and one connection for all requests' () {
    let connections = 0
    const agent = new (url.startsWith('https') ? require('node:https') : http).Agent({ keepAlive: true, maxSockets: 1 })
    const connect = agent.createConnection
    agent.createConnection = (...all) => { connections++; return connect.apply(agent, all) }
    const proxyOpts = { httpAgent: agent, httpsAgent: agent }
    const one = client({ proxyOpts, userAgent: 'WebTorrent/0.98.0 (https://webtorrent.io)' })
    for (const action of ['start', 'update', 'stop']) await answer(one, action)
    agent.destroy()
    assert.strictEqual(connections, 1)
    await close(one)
  },

  async 'scrape by hand' () {
    const hashes = [hash(), hash()]
    const one = client({ infoHash: hashes[1] })
    await answer(one, 'start', { left: 0 })
    const query = [...hashes, hashes[0]].map((each) => `info_hash=${escapeAll(each)}`).join('&')
    const { status, data } = await get(`${url.replace('/announce', '/scrape')}?${query}`)
    assert.strictEqual(status, 200)
    const files = bencode.decode(data).files
    assert.deepStrictEqual(Object.keys(files).sort(), hashes.map((each) => each.toString('latin1')).sort())
    assert.strictEqual(files[hashes[1].toString('latin1')].complete, 1)
    await close(one)
  },

  async 'scrape of everything is not public' () {
    if (oracle) return
    const { status, data } = await get(url.replace('/announce', '/scrape'))
    assert.strictEqual(status, 200)
    assert.match(String(bencode.decode(data)['failure reason']), /info_hash/)
  }
}

/** Those of WebTorrent. */
const socketsAlone = {
  async 'an offer and its answer' () {
    const infoHash = hash()
    const [one, other] = [client({ infoHash }), client({ infoHash })]
    counts(await answer(one, 'start', { left: 1 }), 0, 1)
    const arrived = [next(one, 'peer'), next(other, 'peer')]
    counts(await answer(other, 'start', { left: 1 }), 0, 2)
    const [answering, offering] = await Promise.all(arrived)
    if (!offering.heard) await next(offering, 'heard')
    assert.strictEqual(answering.id, other.peerId)
    assert.strictEqual(offering.id, one.peerId)
    assert.deepStrictEqual(answering.heard, offering.said, 'the offer, character by character')
    assert.deepStrictEqual(offering.heard, answering.said, 'the answer, character by character')
    for (const each of [one, other]) await close(each)
  },

  async 'offers reach as many peers as there are' () {
    const infoHash = hash()
    const others = [client({ infoHash }), client({ infoHash }), client({ infoHash })]
    // Without offers of their own they hear from the last one only.
    for (const other of others) await answer(other, 'start', { left: 1, numwant: 0 })
    const arrived = others.map((other) => next(other, 'peer'))
    const one = client({ infoHash })
    counts(await answer(one, 'start', { left: 1 }), 0, 4)
    await Promise.all(arrived)
    await until('every answer', () => one.peers.map(({ id }) => id), (ids) => ids.length === 3)
    assert.deepStrictEqual(one.peers.map(({ id }) => id).sort(), others.map(({ peerId }) => peerId).sort())
    for (const other of others) assert.strictEqual(other.peers.length, 1)
    for (const each of [one, ...others]) await close(each)
  },

  async 'one socket for several torrents' () {
    const announce = address()
    const [one, other] = [client({ announce }), client({ announce })]
    counts(await answer(one, 'start'), 0, 1)
    counts(await answer(other, 'start'), 0, 1)
    assert.strictEqual(one._trackers[0].socket, other._trackers[0].socket)
    await close(one)
    counts(await answer(other, 'update'), 0, 1)
    await close(other)
  }
}

/** One tracker behind several doors. */
const between = {
  async 'one peer that announces at every door is one peer' () {
    const one = client({ announce: doors })
    const found = new Map()
    one.on('update', (answered) => found.set(answered.announce, answered))
    one.on('warning', (error) => { one.fault = error })
    one.start({ left: 1 })
    await until('answered at each door', () => one.fault ?? [...found.keys()], (keys) => keys.length === doors.length)
    for (const { complete, incomplete } of found.values()) assert.deepStrictEqual([complete, incomplete], [0, 1])
    await close(one)
  },

  async 'peers of one door are given at the other, with the same totals' () {
    const infoHash = hash()
    const clients = doors.map((announce) => client({ infoHash, announce }))
    for (const [n, each] of clients.entries()) {
      const answered = await answer(each, 'start', { left: 1 })
      assert.strictEqual(answered.incomplete, n + 1)
    }
    for (const each of clients) {
      each.peers.length = 0
      await answer(each, 'update', { left: 1 })
      const others = clients.filter((other) => other !== each)
      const given = each.peers.map((place) => place.replace(/^.*:/, ''))
      assert.deepStrictEqual(given.sort(), others.map((other) => String(other._port)).sort())
    }
    for (const announce of doors) {
      const found = await scrape(infoHash.toString('hex'), announce)
      assert.deepStrictEqual([found.complete, found.incomplete, found.downloaded], [0, doors.length, 0])
    }
    for (const each of clients) await close(each)
  }
}

const host = () => new URL(url.replace(/^udp:/, 'http:')).hostname
const escapeAll = (bytes) => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

function get (address) {
  return new Promise((resolve, reject) => {
    const asked = require(address.startsWith('https') ? 'node:https' : 'node:http').get(address, (answered) => {
      const parts = []
      answered.on('data', (part) => parts.push(part))
      answered.on('end', () => resolve({ status: answered.statusCode, data: Buffer.concat(parts) }))
    })
    asked.on('error', reject)
  })
}

/** Over UDP the client knows IPv4 alone: its sockets, names and lists are made IPv6 for the whole process. */
function speakIpv6 () {
  const { createSocket } = dgram
  const lookup = (name, _, found) => found(null, name.replace(/[[\]]/g, ''), 6)
  dgram.createSocket = () => createSocket({ type: 'udp6', lookup })
  compact2string.multi = compact2string.multi6
}

/** Starts the tracker of the package. */
async function startOracle (protocol) {
  oracle = new Client.Server({ http: protocol === 'http', udp: protocol === 'udp', ws: protocol === 'ws', stats: false })
  oracle.listen(0)
  await once(oracle, 'listening')
  return `${protocol}://127.0.0.1:${oracle[protocol].address().port}/announce`
}

async function main () {
  if (doors[0] === 'oracle') doors = [await startOracle(doors[1])]
  url = doors[0]
  const protocol = new URL(url).protocol
  if (protocol === 'udp:' && net.isIPv6(host().replace(/[[\]]/g, ''))) speakIpv6()
  const scenarios = doors.length > 1
    ? between
    : { ...everywhere, ...(/^ws/.test(protocol) ? socketsAlone : lists), ...(/^http/.test(protocol) && webAlone) }
  const results = await Promise.allSettled(Object.values(scenarios).map((scenario) => scenario()))
  let failed = 0
  for (const [n, name] of Object.keys(scenarios).entries()) {
    const { reason } = results[n]
    if (reason) failed++
    console.log(reason ? `failed: ${name}\n${reason.stack ?? reason}` : `passed: ${name}`)
  }
  // Timers and sockets of failed scenarios do not hold the process.
  process.exit(failed ? 1 : 0)
}

main()
