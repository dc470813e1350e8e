// Pages that run WebTorrent's own bundle, and what a tracker counts of them.
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
window.start = (tracker, more) => {
  const client = new WebTorrent({ tracker: { announce: [tracker], rtcConfig: { iceServers: [] } }, ...more })
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
    // A kept connection may be closed just when something more is asked.
    const asked = (address.startsWith('https') ? https : http).get(address, { agent: false }, (answered) => {
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

/** Has a page seed a file of chance; gives its info hash and its digest. */
function seed (page, tracker) {
  return page.evaluate(async ([tracker, size]) => {
    const bytes = new Uint8Array(size)
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536))
    const file = new File([bytes], 'payload.bin')
    const torrent = await new Promise((resolve) => window.start(tracker).seed(file, { announce: [tracker] }, resolve))
    window.torrent = torrent
    return { infoHash: torrent.infoHash, sent: await window.digest(bytes) }
  }, [tracker, SIZE])
}

/** Does something with a browser, which is ended whatever comes of it; then this process ends, too. */
async function withBrowser (work) {
  const browser = await launch('--ignore-certificate-errors')
  try {
    await work(browser)
  } catch (error) {
    console.log(error.stack ?? error)
    process.exitCode = 1
  } finally {
    await browser.close()
  }
  process.exit()
}

module.exports = { servePages, seed, counted, open, withBrowser }
