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
const { readFile } = require('node:fs/promises')
const http = require('node:http')
const https = require('node:https')
const { dirname, join } = require('node:path')
const { launch } = require('./chromium')

const SIZE = 1_500_000
const PATIENCE = 40_000

const PAGE = `<!doctype html><meta charset="utf-8"><title>a peer</title><link rel="icon" href="data:,">
<script type="module">
import WebTorrent from '/webtorrent.js'
window.start = (tracker) => {
  const client = new WebTorrent({ tracker: { announce: [tracker], rtcConfig: { iceServers: [] } } })
  client.on('error', (error) => { throw error })
  return client
}
window.digest = async (bytes) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join(' ')
</script>`

/** Serves the page and the bundle on localhost, where pages may use WebRTC and cryptography. */
async function servePages () {
  // The package exports no path to the bundle itself.
  const bundle = await readFile(join(dirname(require.resolve('webtorrent')), 'dist/webtorrent.min.js'))
  const files = { '/': ['text/html', PAGE], '/webtorrent.js': ['text/javascript', bundle] }
  const server = http.createServer((request, response) => {
    const [type, body] = files[request.url] ?? ['text/plain', undefined]
    response.writeHead(body ? 200 : 404, { 'Content-Type': type }).end(body)
  })
  server.listen(0, 'localhost')
  await once(server, 'listening')
  return `http://localhost:${server.address().port}/`
}

function get (address) {
  return new Promise((resolve, reject) => {
    const asked = (address.startsWith('https') ? https : http).get(address, (answered) => {
      const parts = []
      answered.on('data', (part) => parts.push(part))
      answered.on('end', () => resolve(Buffer.concat(parts)))
    })
    asked.on('error', reject)
  })
}

/** The one row that is asked for. */
async function scrape (url, infoHash) {
  const text = (await get(`${url}?info_hash=${infoHash.replace(/../g, '%$&')}`)).toString('latin1')
  const row = text.match(/d8:completei(\d+)e10:downloadedi(\d+)e(?:11:downloadersi\d+e)?10:incompletei(\d+)ee/)
  assert(row, `no row in ${text}`)
  const [complete, downloaded, incomplete] = row.slice(1).map(Number)
  return { complete, incomplete, downloaded }
}

/** Asks again until the tracker counts as it should; the keys that are not named may be anything. */
async function counted (url, infoHash, when, expected) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const found = await scrape(url, infoHash)
    try {
      assert.deepStrictEqual({ ...found, ...expected }, found, when)
      console.log(`${when}: ${JSON.stringify(found)}`)
      return found
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** A page at a place of its own: another context shares nothing with the first. */
async function open (browser, place) {
  const context = await browser.newContext()
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  page.on('console', (line) => console.log(`page: ${line.text()}`))
  page.on('pageerror', (error) => console.log(`page: ${error.stack}`))
  await page.goto(place)
  await page.waitForFunction(() => window.start)
  return page
}

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
  const { infoHash, sent } = await seeder.evaluate(async ([tracker, size]) => {
    const bytes = new Uint8Array(size)
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536))
    const file = new File([bytes], 'payload.bin')
    const torrent = await new Promise((resolve) => window.start(tracker).seed(file, { announce: [tracker] }, resolve))
    window.torrent = torrent
    return { infoHash: torrent.infoHash, sent: await window.digest(bytes) }
  }, [seederUrl, SIZE])
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

async function main () {
  const oracle = process.argv[2] === 'oracle'
  const urls = oracle ? await startOracle() : process.argv.slice(2)
  const browser = await launch('--ignore-certificate-errors')
  try {
    // The tracker of the package keeps no number of downloads: it tells that of seeders.
    await transfer(browser, urls, !oracle)
  } catch (error) {
    console.log(error.stack ?? error)
    process.exitCode = 1
  } finally {
    await browser.close()
  }
  process.exit()
}

main()
