// The tracker of the npm package bittorrent-tracker, for whoever asks it.
//
// Usage: npm_tracker.js    with NODE_PATH naming the npm packages
// Prints its ports as a line of JSON, and ends with its standard input.
'use strict'

const { Server } = require('bittorrent-tracker')

const server = new Server({ http: true, udp: true, ws: true, stats: false })
// Clients that go without a word are no matter.
server.on('warning', () => {})
server.on('error', (error) => { throw error })
server.once('listening', () => {
  const port = (listener) => listener.address().port
  console.log(JSON.stringify({ udp: port(server.udp), http: port(server.http), ws: port(server.http) }))
})
server.listen(0, { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' })
process.stdin.on('close', () => process.exit()).resume()
