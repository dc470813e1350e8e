// Two pages in headless Chromium, running WebTorrent's own bundle, that find each other through the tracker alone and
// move a file over WebRTC. On the way the tracker's counts are looked at from three sides: what a page is told when it
// announces, what it is told when it scrapes, and a scrape over HTTP.
//
// Usage: webtorrent_pages.js SEEDER_URL LEECHER_URL SCRAPE_URL    with NODE_PATH naming the npm packages
//        webtorrent_pages.js oracle    against the tracker of the npm package bittorrent-tracker
// The URLs are ws: or wss: twice and http: or https:. Prints what was seen; the exit status is 1 if something is wrong.
'use strict'

const assert = require('node:assert')
const { once } = require('node:events')
const { servePages, seed, counted, open, withBrowser } = require('./pages')

/** What the page's client is told on this event after this request. */
const told = (page, event, request) => page.evaluate(async ([event, request]) => {
  const { tracker } = window.torrent.discovery
  const { complete, incomplete, downloaded } = await new Promise((resolve, reject) => {
    tracker.once(event, resolve)
    tracker.once('warning', reject)
    tracker[request]()
  })
  return { complete, incomplete, downloaded }
}, [event, request])

async function transfer (browser, [seederUrl, leecherUrl, scrapeUrl], keepsDownloads) {
  const place = await servePages()
  const count = (when, expected) => counted(scrapeUrl, infoHash, when, { incomplete: 0, ...expected })

  const seeder = await open(browser, place)
  const { infoHash, sent } = await seed(seeder, seederUrl)
  // A page that makes a torrent may tell the tracker that it has completed it.
  const made = (await count('a page seeds', { complete: 1 })).downloaded
  assert.deepStrictEqual(await told(seeder, 'update', 'update'), { complete: 1, incomplete: 0, downloaded: undefined })

  const leecher = await open(browser, place)
  const received = await leecher.evaluate(async ([tracker, infoHash]) => {
    const torrent = window.start(tracker).add(`magnet:?xt=urn:btih:${infoHash}`, { announce: [tracker] })
    window.torrent = torrent
    await new Promise((resolve, reject) => torrent.once('done', resolve).once('error', reject))
    return window.digest(await torrent.files[0].arrayBuffer())
  }, [leecherUrl, infoHash])
  assert.strictEqual(received, sent, 'the file as it was sent')
  const downloaded = keepsDownloads ? made + 1 : 2
  await count('the file has arrived', { complete: 2, downloaded })
  const whole = await told(leecher, 'scrape', 'scrape')
  assert.deepStrictEqual(whole, { complete: 2, incomplete: 0, downloaded })
  assert.deepStrictEqual(await told(leecher, 'update', 'update'), { complete: 2, incomplete: 0, downloaded: undefined })

  await leecher.evaluate(() => new Promise((resolve) => window.torrent.destroy(resolve)))
  await count('the second page stopped', { complete: 1, ...(keepsDownloads && { downloaded }) })
  await seeder.close()
  await count('the first page was closed', { complete: 0, ...(keepsDownloads && { downloaded }) })
}

/** Starts the tracker of the npm package and gives its addresses. */
async function startOracle () {
  const { Server } = require('bittorrent-tracker')
  const server = new Server({ udp: false, stats: false })
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.http.address()
  return [`ws://127.0.0.1:${port}`, `ws://127.0.0.1:${port}`, `http://127.0.0.1:${port}/scrape`]
}

withBrowser(async (browser) => {
  const oracle = process.argv[2] === 'oracle'
  const urls = oracle ? await startOracle() : process.argv.slice(2)
  // The tracker of the package keeps no number of downloads: it tells that of seeders.
  await transfer(browser, urls, !oracle)
})
