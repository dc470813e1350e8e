// Headless Chromium, without a word to anybody outside this machine.
'use strict'

const { accessSync, constants } = require('node:fs')
const { delimiter, join } = require('node:path')
const { chromium } = require('playwright-core')

/** Starts it, with further flags. It ends with this process, since it hangs on a pipe of it. */
exports.launch = (...flags) => chromium.launch({
  executablePath: find('chromium'),
  headless: true,
  args: [
    // Root has no sandbox.
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Candidates with addresses: there is no mDNS to resolve names by.
    '--disable-features=WebRtcHideLocalIpsWithMdns',
    ...flags
  ]
})

function find (name) {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  throw new Error(`${name} is not on PATH: \`cargo xtask test\` installs it`)
}
