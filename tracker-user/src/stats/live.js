const state = document.getElementById('state')
const refreshes = state.textContent
const PAUSE = 10_000
let source
let timer

function say (text, live) {
  if (state.textContent !== text) state.textContent = text
  state.className = live ? 'live' : ''
}

/** Makes an element what another one is, and touches only what differs, so that what a person has selected or points at stays. */
function become (old, wanted) {
  if (old.nodeType !== wanted.nodeType || old.nodeName !== wanted.nodeName) {
    old.replaceWith(wanted.cloneNode(true))
    return
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data
    return
  }
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name)
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  }
  hold(old, wanted)
}

/** Has an element hold what another one holds. */
function hold (old, wanted) {
  const [before, after] = [[...old.childNodes], [...wanted.childNodes]]
  after.forEach((node, i) => before[i] ? become(before[i], node) : old.append(node.cloneNode(true)))
  before.slice(after.length).forEach((node) => node.remove())
}

function show (part, wanted) {
  const old = document.getElementById(part)
  if (old && wanted) hold(old, wanted)
}

function take ({ data }) {
  const end = data.indexOf('\n')
  const part = data.slice(0, end)
  const wanted = document.getElementById(part)?.cloneNode()
  if (!wanted) return
  wanted.innerHTML = data.slice(end + 1)
  show(part, wanted)
  say('Live', true)
}

/** Without events the page is what it is without script: it asks for itself again and again. */
async function refresh () {
  try {
    const answer = await fetch(location.href, { cache: 'no-store' })
    if (!answer.ok) throw new Error(answer.statusText)
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    for (const { id } of document.querySelectorAll('main [id], header [id]')) show(id, page.getElementById(id))
    say(refreshes, false)
  } catch {
    say('Does not answer', false)
  }
  follow()
}

function follow () {
  stop()
  source = new EventSource('stats/events')
  source.onmessage = take
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) timer = setTimeout(refresh, PAUSE)
    else say('Connecting again', false)
  }
}

function stop () {
  clearTimeout(timer)
  source?.close()
}

// A page that nobody sees needs no numbers, and leaves its stream to others.
function look () {
  if (document.hidden) stop()
  else follow()
}

document.addEventListener('visibilitychange', look)
look()
