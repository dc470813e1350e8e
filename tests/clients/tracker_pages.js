// A tracker's own pages in headless Chromium: what they show, what their buttons do, how they follow the tracker, and that
// they are whole without script.
//
// Usage: tracker_pages.js PLACE CROWDED_PLACE URLS    with NODE_PATH naming the npm packages
// PLACE is a tracker's `http://HOST:PORT/`, URLS are those that its page must show, with spaces between; at CROWDED_PLACE one
// at a time may follow. Prints `passed: ` and what was seen; the exit status is 1 if something is wrong.
'use strict'

const assert = require('node:assert')
const { withBrowser } = require('./pages')

const PATIENCE = 20_000
const [place, crowded, urls] = [process.argv[2], process.argv[3], process.argv[4].split(' ')]
const GRANTED = ['clipboard-read', 'clipboard-write']

/** Opens a page at a place of its own, and whatever goes wrong in it goes into `wrong`. */
async function open (browser, address, { clock, ...more } = {}) {
  const context = await browser.newContext(more)
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  if (clock) await page.clock.install()
  page.wrong = []
  page.on('console', (line) => { if (line.type() === 'error') page.wrong.push(line.text()) })
  page.on('pageerror', (error) => page.wrong.push(error.stack))
  page.on('request', (request) => {
    if (!/^data:/.test(request.url()) && new URL(request.url()).origin !== new URL(address).origin) {
      page.wrong.push(`asks ${request.url()}`)
    }
  })
  const answer = await page.goto(address)
  assert.strictEqual(answer.status(), 200, address)
  return page
}

/** Closes it, and nothing may have gone wrong. */
async function close (page) {
  assert.deepStrictEqual(page.wrong, [])
  await page.context().close()
}

/** Announces a torrent to the tracker. */
async function announce (address, torrent) {
  const query = `info_hash=${String(torrent).padStart(20, 'h')}&peer_id=-qB4630-abcdefghijkl&port=6881&left=1&compact=1`
  const answer = await fetch(`${address}announce?${query}`)
  assert.match(await answer.text(), /^d8:complete/)
}

const torrents = (page, n) => page.waitForFunction((n) => {
  const tile = [...document.querySelectorAll('#now dt')].find((name) => name.textContent === 'Torrents')
  return tile.nextElementSibling.textContent === String(n)
}, n)

async function copies (browser) {
  const page = await open(browser, place, { permissions: GRANTED })
  assert.deepStrictEqual(await page.locator('code').allTextContents(), urls)
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText())
  for (const url of urls) {
    await page.getByRole('button', { name: `Copy ${url}`, exact: true }).click()
    await page.waitForFunction((name) => document.querySelector(`[aria-label="${name}"]`).textContent === 'Copied', `Copy ${url}`)
    assert.strictEqual(await clipboard(), url)
  }
  // By keyboard.
  await page.getByRole('button', { name: 'Copy all' }).focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('button').textContent === 'Copied')
  assert.strictEqual(await clipboard(), urls.join('\n\n'))
  await page.getByRole('link').click()
  await page.waitForURL('**/stats')
  await close(page)
}

/** What a page may do that came without TLS from another host: the clipboard is not there. */
async function copiesWithoutClipboard (browser) {
  const page = await open(browser, place, { permissions: GRANTED })
  await page.evaluate(() => {
    window.clipboard = navigator.clipboard
    Object.defineProperty(navigator, 'clipboard', { value: undefined })
  })
  await page.getByRole('button', { name: `Copy ${urls[1]}`, exact: true }).click()
  await page.waitForFunction(() => document.getElementById('said').textContent === 'Copied')
  assert.strictEqual(await page.evaluate(() => window.clipboard.readText()), urls[1])
  // Where not even that may be, what is to be copied is selected.
  await page.evaluate(() => { document.execCommand = () => false })
  await page.getByRole('button', { name: `Copy ${urls[0]}`, exact: true }).click()
  await page.waitForFunction(() => document.getElementById('said').textContent.startsWith('Selected'))
  assert.strictEqual(await page.evaluate(() => String(getSelection())), urls[0])
  await close(page)
}

async function follows (browser) {
  const page = await open(browser, `${place}stats`)
  await torrents(page, 0)
  await page.evaluate(() => {
    window.here = true
    document.querySelector('#now .big').here = true
  })
  await page.waitForFunction(() => document.getElementById('state').textContent === 'Live')
  for (const n of [1, 2]) {
    await announce(place, n)
    await torrents(page, n)
  }
  const same = await page.evaluate(() => window.here && document.querySelector('#now .big').here)
  assert(same, 'the page was not loaded again, nor its elements replaced')
  await close(page)
}

/** One may follow, the other one's page asks for itself; its clock is turned. */
async function waits (browser) {
  const first = await open(browser, `${crowded}stats`)
  await first.waitForFunction(() => document.getElementById('state').textContent === 'Live')
  const second = await open(browser, `${crowded}stats`, { clock: true })
  await second.evaluate(() => { window.here = true })
  await announce(crowded, 1)
  await passes(second, () => document.querySelectorAll('#now .big')[1].textContent === '1')
  assert.strictEqual(await second.locator('#state').textContent(), 'Refreshes every 10 seconds')
  await first.context().close()
  // Now there is a place.
  await passes(second, () => document.getElementById('state').textContent === 'Live')
  assert(await second.evaluate(() => window.here), 'it was not loaded again')
  assert(second.wrong.length > 0 && second.wrong.every((text) => text.includes('503')), second.wrong.join())
  await second.context().close()
}

/** Turns a page's clock until something holds. */
async function passes (page, holds) {
  const deadline = Date.now() + PATIENCE
  while (!await page.evaluate(holds)) {
    assert(Date.now() < deadline, `never: ${holds}`)
    await page.clock.fastForward(10_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function needsNoScript (browser) {
  const plain = { javaScriptEnabled: false }
  const front = await open(browser, place, plain)
  assert.deepStrictEqual(await front.locator('code').allTextContents(), urls)
  assert.strictEqual(await front.locator('button:visible').count(), 0, 'a button that does nothing')
  await front.locator('code').first().click()
  await close(front)
  const stats = await open(browser, `${place}stats`, plain)
  assert.strictEqual(await stats.locator('svg.plot:visible').count(), 3)
  assert.strictEqual(await stats.locator('#state').textContent(), 'Refreshes every 10 seconds')
  for (const heading of ['Requests', 'Swarms by size', 'Clients by family', 'Clients by software', 'Refused']) {
    assert(await stats.getByRole('heading', { name: heading, exact: true }).isVisible(), heading)
  }
  assert.strictEqual(await stats.locator('meta[http-equiv=refresh]').getAttribute('content'), '10')
  await close(stats)
}

/** Wide and narrow, light and dark: nothing is wider than the window, and text can be told from what is behind it (WCAG 1.4.3). */
async function fits (browser) {
  for (const path of ['', 'stats']) {
    const page = await open(browser, `${place}${path}`)
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      assert.deepStrictEqual(await page.evaluate(faint), [], `/${path} ${colorScheme}`)
    }
    for (const width of [360, 700, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      const wide = await page.evaluate(() => document.documentElement.scrollWidth)
      assert(wide <= width, `/${path} is ${wide} pixels wide in a window of ${width}`)
    }
    await close(page)
  }
}

/** Texts whose contrast is less than 4.5 to 1, in the page. */
function faint () {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number)
  const light = (color) => {
    const [r, g, b] = numbers(color).map((part) => part / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor
      if (!(numbers(color).length === 4 && numbers(color)[3] === 0)) return color
    }
    return 'rgb(255, 255, 255)'
  }
  const found = []
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
    if (!own || ['SCRIPT', 'TITLE', 'title'].includes(element.nodeName)) continue
    const style = getComputedStyle(element)
    const [a, b] = [light(element.namespaceURI.endsWith('svg') ? style.fill : style.color), light(behind(element))]
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (contrast < 4.5) found.push(`${element.textContent.trim()}: ${contrast.toFixed(2)}`)
  }
  return found
}

/** Each table says what its rows and columns are, and each chart what it shows. */
async function isReadAloud (browser) {
  const page = await open(browser, `${place}stats`)
  const missing = await page.evaluate(() => [
    ...[...document.querySelectorAll('tbody tr')].filter((row) => row.cells[0].scope !== 'row'),
    ...[...document.querySelectorAll('thead th')].filter((cell) => cell.scope !== 'col'),
    ...[...document.querySelectorAll('svg')].filter((svg) => !svg.ariaLabel && !svg.ariaHidden)
  ].map((element) => element.outerHTML))
  assert.deepStrictEqual(missing, [])
  const levels = await page.evaluate(() => [...document.querySelectorAll('h1,h2,h3')].map((h) => h.nodeName).join())
  assert.match(levels, /^H1(,H2)+$/)
  assert.strictEqual(await page.evaluate(() => document.documentElement.lang), 'en')
  await close(page)
}

withBrowser(async (browser) => {
  for (const step of [copies, copiesWithoutClipboard, follows, waits, needsNoScript, fits, isReadAloud]) {
    await step(browser)
    console.log(`passed: ${step.name}`)
  }
})
