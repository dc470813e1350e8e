// Pictures of a terminal, on light ground and on dark.
//
// Usage: terminal_picture.js FILE NAME COLUMNS ROWS    with NODE_PATH naming the npm packages
// FILE has what is on the screen, as `tmux capture-pane -e -p` tells it. Writes NAME.png and NAME-dark.png.
'use strict'

const { readFileSync } = require('node:fs')
const { launch } = require('./chromium')

// As terminals have them: text, ground, and the eight colours.
const THEMES = {
  light: ['#24292e', '#ffffff', '#24292e', '#c5221f', '#188038', '#9a6700', '#0550ae', '#8250df', '#1b7c83', '#6e7781'],
  dark: ['#d0d7de', '#161b22', '#484f58', '#ff7b72', '#3fb950', '#d29922', '#58a6ff', '#bc8cff', '#39c5cf', '#b1bac4']
}

const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** The lines as HTML: each run of characters of one style is an element with the numbers of that style as classes. */
function html (text) {
  let styles = new Set()
  const parts = text.split(/\x1b\[([\d;]*)m/)
  return parts.map((part, n) => {
    if (n % 2 === 0) return part && `<span class="${[...styles].map((style) => `s${style}`).join(' ')}">${escaped(part)}</span>`
    // The first eight of the 256 colours are the eight that all terminals have.
    const numbers = part.replace(/\b38;5;([0-7])\b/g, '3$1') || '0'
    for (const number of numbers.split(';').map(Number)) {
      if (number === 0) styles = new Set()
      else if (number === 22) styles = new Set([...styles].filter((style) => style > 2))
      else if (number === 27) styles.delete(7)
      else if (number === 39) styles = new Set([...styles].filter((style) => style < 30))
      else if ([1, 2, 7].includes(number) || (number >= 30 && number <= 37)) styles.add(number)
      else if (number !== 49 && number !== 59) throw new Error(`nobody knows how style ${number} looks`)
    }
    return ''
  }).join('')
}

function page (text, [ink, ground, ...colours], columns, rows) {
  const rules = colours.map((colour, n) => `.s${30 + n} { color: ${colour} }`).join('\n')
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; background: ${ground}; color: ${ink}; display: inline-block }
    pre { margin: 14px 18px; font: 14px/1.3 "DejaVu Sans Mono", monospace; width: ${columns}ch; height: ${rows * 1.3}em }
    .s1 { font-weight: bold } .s2 { opacity: 0.6 } .s7 { background: ${ink}; color: ${ground} }
    ${rules}</style><pre>${html(text)}</pre>`
}

async function main () {
  const [file, name, columns, rows] = process.argv.slice(2)
  const text = readFileSync(file, 'utf8')
  const browser = await launch()
  for (const [theme, end] of [['light', '.png'], ['dark', '-dark.png']]) {
    const tab = await browser.newPage({ deviceScaleFactor: 1.5 })
    await tab.setContent(page(text, THEMES[theme], columns, rows))
    await tab.locator('body').screenshot({ path: name + end })
  }
  await browser.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
