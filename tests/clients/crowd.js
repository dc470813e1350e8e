// Peers of every kind, who keep a tracker busy until this is ended: by UDP, HTTP and WebSocket, of both families, with the
// software that is common, and a few whose requests are wrong.
//
// Usage: crowd.js IPV4 IPV6 PORT SOURCE COUNT IPV6_SOURCE    with NODE_PATH naming the npm packages
// They come from the addresses SOURCE1 to SOURCECOUNT (as 10.0.0.1 to 10.0.0.9) and from IPV6_SOURCE, which this host has.
'use strict'

const { createHash, randomBytes } = require('node:crypto')
const dgram = require('node:dgram')
const { EventEmitter } = require('node:events')
const http = require('node:http')
const Client = require('bittorrent-tracker')

const [ipv4, ipv6, port, source, count, ipv6Source] = process.argv.slice(2)
const TORRENTS = 3000
const PEERS = 15_000
// Announces a second.
const BY_UDP = 900
const BY_HTTP = 90
const BY_WEBSOCKET = 6
// Peers that are pages in browsers, each with a connection of its own.
const PAGES = 60
// How peer IDs begin, and how many of a hundred begin so.
const SOFTWARE = [
  ['-qB5040-', 38], ['-TR4060-', 17], ['-UT3600-', 9], ['-lt0D80-', 8], ['-DE2110-', 6], ['-BI3500-', 5], ['-KT2580-', 3],
  ['A2-1-37-', 3], ['-LT20A0-', 3], ['-AZ5770-', 2], ['unheard!', 6]
]
const BEGINNINGS = SOFTWARE.flatMap(([beginning, share]) => Array(share).fill(beginning))

const hash = (text) => createHash('sha1').update(text).digest()
const any = (n) => Math.floor(Math.random() * n)
const random = () => peer(any(PEERS))

/** A peer by its number: always the same torrent, name and role. A few torrents are wanted by many. */
function peer (n) {
  const chance = hash(`peer ${n}`)
  const torrent = Math.floor(TORRENTS * (chance.readUInt32LE(0) / 2 ** 32) ** 3)
  const left = chance[4] < 170 ? 0 : 1 + chance.readUInt32LE(8)
  const id = Buffer.concat([Buffer.from(BEGINNINGS[chance[5] % BEGINNINGS.length]), chance.subarray(0, 12)])
  return { n, infoHash: hash(`torrent ${torrent}`), id, left, port: 1024 + n }
}

/** One host's way to the tracker by UDP (BEP 15). */
class Host {
  constructor (address, tracker, type) {
    this.socket = dgram.createSocket(type)
    this.socket.on('message', (reply) => {
      if (reply.length === 16 && reply.readUInt32BE(0) === 0) this.connection = reply.subarray(8, 16)
    })
    this.socket.bind(0, address, () => {
      this.socket.connect(Number(port), tracker, () => {
        this.connect()
        setInterval(() => this.connect(), 55_000)
      })
    })
  }

  send (bytes) {
    // Whoever is not there yet, or any more, has nothing to say.
    this.socket.send(bytes, () => {})
  }

  connect () {
    const request = Buffer.alloc(16)
    request.writeBigUInt64BE(0x41727101980n)
    randomBytes(4).copy(request, 12)
    this.send(request)
  }

  announce ({ infoHash, id, left, port }) {
    if (!this.connection) return
    const request = Buffer.alloc(98)
    // One of two hundred makes its connection ID up, one of a thousand says nothing that has a meaning.
    const wrong = any(1000)
    ;(wrong < 5 ? randomBytes(8) : this.connection).copy(request)
    request.writeUInt32BE(wrong === 5 ? 9 : 1, 8)
    randomBytes(4).copy(request, 12)
    infoHash.copy(request, 16)
    id.copy(request, 36)
    request.writeBigUInt64BE(BigInt(left), 64)
    request.writeInt32BE(50, 92)
    request.writeUInt16BE(port, 96)
    this.send(request)
  }
}

const escape = (bytes) => bytes.toString('hex').replace(/../g, '%$&')

/** An announce over a connection that is kept. One of two hundred forgets what it wants. */
function announceByHttp (agent, host, localAddress, { infoHash, id, left, port: own }) {
  const wanted = any(200) ? `info_hash=${escape(infoHash)}&` : ''
  const path = `/announce?${wanted}peer_id=${escape(id)}&port=${own}&uploaded=0&downloaded=0&left=${left}&compact=1`
  const request = http.get({ agent, host, localAddress, port, path }, (answer) => answer.resume())
  // A kept connection may be closed just as something more is asked.
  request.on('error', () => {})
}

/** A browser's side of a connection that is never made: the tracker relays its descriptions all the same. */
class Side extends EventEmitter {
  constructor ({ initiator }) {
    super()
    if (initiator) this.signal({})
  }

  signal ({ type }) {
    const description = { type: type === 'offer' ? 'answer' : 'offer', sdp: 'v=0\r\n' }
    if (type !== 'answer') process.nextTick(() => this.emit('signal', description))
  }

  destroy () {}
}

function page (n) {
  const { infoHash, left } = peer(any(40))
  const peerId = Buffer.concat([Buffer.from('-WW0108-'), randomBytes(12)])
  const client = new Client({ infoHash, peerId, announce: `ws://${ipv4}:${port}/?page=${n}`, port: 1, wrtc: {} })
  for (const tracker of client._trackers) {
    tracker.setMaxListeners(0)
    tracker._createPeer = (options = {}) => new Side(options)
    // Peers ask when they are told to.
    tracker.setInterval = () => {}
  }
  // It connects again by itself.
  client.on('warning', () => {})
  client.start({ left })
  return () => client.update({ left })
}

/** Does something so often a second, a little at a time. */
function often (perSecond, work) {
  let due = 0
  setInterval(() => {
    // Demand comes and goes.
    due += perSecond / 50 * (1 + 0.3 * Math.sin(Date.now() / 47_000))
    for (; due >= 1; due--) work()
  }, 20)
}

const hosts = Array.from({ length: Number(count) }, (_, i) => new Host(`${source}${i + 1}`, ipv4, 'udp4'))
hosts.push(...Array.from({ length: Number(count) / 3 }, () => new Host(ipv6Source, ipv6, 'udp6')))
often(BY_UDP, () => {
  const one = random()
  hosts[one.n % hosts.length].announce(one)
})
const agents = [4, 6].map(() => new http.Agent({ keepAlive: true, maxSockets: 24 }))
often(BY_HTTP, () => {
  const one = random()
  if (one.n % 4) announceByHttp(agents[0], ipv4, `${source}1`, one)
  else announceByHttp(agents[1], ipv6, ipv6Source, one)
})
const pages = Array.from({ length: PAGES }, (_, n) => page(n))
often(BY_WEBSOCKET, () => pages[any(pages.length)]())
