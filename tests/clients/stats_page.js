// Peers of every kind that keep a tracker busy for a while, then pictures of its stats page.
//
// Usage: stats_page.js DIRECTORY SECONDS UDP_ADDRESS HTTP_ADDRESS...    with NODE_PATH naming the npm packages
// Writes stats.png and stats-dark.png into the directory.
'use strict'

const { createHash, randomBytes } = require('node:crypto')
const { EventEmitter, once } = require('node:events')
const { join } = require('node:path')
const Client = require('bittorrent-tracker')
const { launch } = require('./chromium')

// A few torrents that many want, and many that few want.
const TORRENTS = 60
const LARGEST = 120 // peers
const REQUESTS_A_SECOND = 80

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

/** A peer of a torrent, at one of the tracker's doors. */
function peer (infoHash, announce, port, left) {
  const client = new Client({ infoHash, announce, peerId: randomBytes(20), port, wrtc: {} })
  for (const tracker of client._trackers) {
    tracker.setMaxListeners(0)
    tracker._createPeer = (options = {}) => new Side(options)
    // Peers ask when they are told to.
    tracker.setInterval = () => {}
  }
  client.on('warning', (error) => { throw error })
  return { client, left }
}

async function main () {
  const [directory, seconds, udp, ...web] = process.argv.slice(2)
  const doors = (n) => {
    const address = web[n % web.length]
    // Six of ten by UDP, three by HTTP, one by WebSocket with a connection of its own.
    if (n % 10 < 6) return `udp://${udp}/announce`
    return n % 10 < 9 ? `http://${address}/announce` : `ws://${address}/?peer=${n}`
  }
  const peers = []
  for (let torrent = 1; torrent <= TORRENTS; torrent++) {
    const infoHash = createHash('sha1').update(`torrent ${torrent}`).digest()
    for (let n = 0; n < LARGEST / torrent; n++) {
      const number = peers.length
      peers.push(peer(infoHash, doors(number), 10_000 + number, Math.random() < 0.7 ? 0 : 1 + number))
    }
  }
  // Whoever came last wants it most: the order of arrival is a random one.
  peers.sort(() => Math.random() - 0.5)
  for (const { client, left } of peers) {
    client.start({ left })
    await once(client, 'update')
  }

  const end = Date.now() + seconds * 1000
  while (Date.now() < end) {
    const chosen = peers[Math.floor(Math.random() * peers.length)]
    if (Math.random() < 0.05) {
      chosen.client.scrape()
    } else if (chosen.left > 0 && Math.random() < 0.02) {
      chosen.left = 0
      chosen.client.complete({ left: 0 })
    } else {
      chosen.client.update({ left: chosen.left })
    }
    // Demand comes and goes.
    const wave = 1 + 0.6 * Math.sin(Date.now() / 40_000)
    await new Promise((resolve) => setTimeout(resolve, 1000 / REQUESTS_A_SECOND / wave))
  }

  const browser = await launch()
  for (const [colorScheme, name] of [['light', 'stats.png'], ['dark', 'stats-dark.png']]) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 1000, height: 600 } })
    const answer = await page.goto(`http://${web[0]}/stats`)
    if (!answer.ok()) throw new Error(`GET /stats: ${answer.status()}`)
    await page.screenshot({ path: join(directory, name), fullPage: true })
  }
  await browser.close()
  process.exit()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
