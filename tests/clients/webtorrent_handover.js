// Pages with WebTorrent's own bundle while another process of the tracker takes over: the transfer goes on, the pages come back
// by themselves, and who comes later finds them.
//
// Usage: webtorrent_handover.js TRACKER_URL SCRAPE_URL CONTROL_SOCKET    with NODE_PATH naming the npm packages
// The URLs are ws: or wss:, and http: or https:. Prints what was seen; the exit status is 1 if something is wrong.
'use strict'

const assert = require('node:assert')
const http = require('node:http')
const { servePages, seed, counted, open, withBrowser } = require('./pages')

/** Bytes a second: the transfer takes longer than the hand-over, unless it is told to hurry. */
const SLOWLY = 150_000

/** Tells the tracker to start the process that takes over. */
function upgrade (socketPath) {
  return new Promise((resolve, reject) => {
    const asked = http.request({ socketPath, path: '/upgrade', method: 'POST', headers: { Host: 'riptide' } })
    asked.on('response', (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode))
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** Has a page fetch the file, and leaves the promise of its end in the page. */
const fetchSlowly = (page, tracker, infoHash, limit) => page.evaluate(async ([tracker, infoHash, downloadLimit]) => {
  window.client = window.start(tracker, { downloadLimit })
  const torrent = window.client.add(`magnet:?xt=urn:btih:${infoHash}`, { announce: [tracker] })
  window.torrent = torrent
  window.done = new Promise((resolve, reject) => torrent.once('done', resolve).once('error', reject))
  await new Promise((resolve) => torrent.once('download', resolve))
}, [tracker, infoHash, limit])

/** The digest of what a page has fetched, once it has all. */
const fetched = (page) => page.evaluate(async () => {
  window.client.throttleDownload(-1)
  await window.done
  return window.digest(await window.torrent.files[0].arrayBuffer())
})

async function moves (browser, [tracker, scrape, control]) {
  const place = await servePages()
  const seeder = await open(browser, place)
  const { infoHash, sent } = await seed(seeder, tracker)
  await counted(scrape, infoHash, 'a page seeds', { complete: 1, incomplete: 0 })
  const leecher = await open(browser, place)
  await fetchSlowly(leecher, tracker, infoHash, SLOWLY)
  for (const page of [seeder, leecher]) {
    // They wait for ten seconds and some chance before they come back: without the chance it is not minutes.
    await page.evaluate(() => { Math.random = () => 0 })
  }
  assert(await leecher.evaluate(() => window.torrent.progress < 1), 'the hand-over comes in the middle')
  assert.strictEqual(await upgrade(control), 200)
  await counted(scrape, infoHash, 'another process serves, and knows no page yet', { complete: 0, incomplete: 0 })
  assert(await leecher.evaluate(() => window.torrent.progress < 1), 'the transfer goes on')
  assert.strictEqual(await fetched(leecher), sent, 'the file as it was sent')
  // The other one is still with the process before.
  await counted(scrape, infoHash, 'a page has come back', { complete: 1, incomplete: 0 })
  const late = await open(browser, place)
  await fetchSlowly(late, tracker, infoHash, -1)
  assert.strictEqual(await fetched(late), sent, 'the file as it was sent')
  await counted(scrape, infoHash, 'a third page has found it', { incomplete: 0 })
}

withBrowser((browser) => moves(browser, process.argv.slice(2)))
