const said = document.getElementById('said')

/** Selects what is to be copied, so that it can be copied by hand where a page may not. */
function select (codes) {
  const range = document.createRange()
  const last = codes[codes.length - 1]
  range.setStart(codes[0], 0)
  range.setEnd(last, last.childNodes.length)
  getSelection().removeAllRanges()
  getSelection().addRange(range)
}

/** A page has a clipboard only where it came by TLS or from this host. */
async function copy (text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {}
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  return done
}

for (const button of document.querySelectorAll('button')) {
  const name = button.textContent
  const codes = [...document.querySelectorAll(button.dataset.copy)]
  button.hidden = false
  button.addEventListener('click', async () => {
    // Clients take a list with a blank line between trackers.
    const done = await copy(codes.map((code) => code.textContent).join('\n\n'))
    if (!done) select(codes)
    button.textContent = done ? 'Copied' : 'Selected'
    said.textContent = done ? 'Copied' : 'Selected: copy it with your keyboard'
    button.focus()
    setTimeout(() => {
      button.textContent = name
      said.textContent = ''
    }, 2000)
  })
}
