// bittorrent-tracker's client at a tracker that does not serve it: what its user is told has to be what is expected.
//
// Usage: npm_stranger.js ANNOUNCE_URL TEXT    with NODE_PATH naming the npm packages
'use strict'

const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const Client = require('bittorrent-tracker')

const PATIENCE = 20_000

const [url, expected] = process.argv.slice(2)
const client = new Client({
  infoHash: randomBytes(20),
  peerId: randomBytes(20),
  port: 6881,
  announce: [url],
  // It is never asked for a connection.
  wrtc: {}
})
setTimeout(() => { throw new Error('waited in vain for a warning') }, PATIENCE)
client.on('error', (error) => { throw error })
client.on('update', (update) => { throw new Error(`it was served: ${JSON.stringify(update)}`) })
client.once('warning', (warning) => {
  console.log(`told: ${warning.message}`)
  assert(warning.message.includes(expected), warning.message)
  process.exit()
})
client.start({ numwant: 0 })
