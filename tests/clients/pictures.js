// Pictures of a tracker's pages, as people see them: wide and on a phone, light and dark.
//
// Usage: pictures.js DIRECTORY PLACE    with NODE_PATH naming the npm packages
// PLACE is the tracker's `http://HOST:PORT/`; it must have served UDP in its XDP program and through AF_XDP.
// Writes index.png, stats.png, stats-dark.png and stats-phone.png into the directory.
'use strict'

const assert = require('node:assert')
const { join } = require('node:path')
const { withBrowser } = require('./pages')

const [directory, place] = process.argv.slice(2)
const WIDE = { viewport: { width: 1120, height: 700 } }
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }
// The last says whether all of the page is shown, or what a screen holds.
const PICTURES = [
  ['index.png', '', { viewport: { width: 820, height: 500 } }, true],
  ['stats.png', 'stats', WIDE, true],
  ['stats-dark.png', 'stats', { ...WIDE, colorScheme: 'dark' }, true],
  ['stats-phone.png', 'stats', PHONE, false]
]

withBrowser(async (browser) => {
  const { requests, connections } = await (await fetch(`${place}stats.json`)).json()
  assert(requests.total.udp_kernel > 0 && requests.total.udp_xsk > 0, `no requests through XDP: ${JSON.stringify(requests)}`)
  assert(connections.websocket > 0 && requests.total.http > 0, 'nobody came by HTTP or WebSocket')
  for (const [name, path, more, fullPage] of PICTURES) {
    const page = await browser.newPage(more)
    const answer = await page.goto(`${place}${path}`)
    assert(answer.ok(), `GET /${path}: ${answer.status()}`)
    if (path === 'stats') await page.waitForFunction(() => document.getElementById('state').textContent === 'Live')
    await page.screenshot({ path: join(directory, name), fullPage })
    await page.close()
  }
})
