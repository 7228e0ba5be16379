/** The debug page in a real browser over a mesh of real processes. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import type { MeshOptionsInput } from '../../node/index.ts'
import {
  findChromium,
  KEEPS_PICTURES,
  keepPicture,
  openPage,
  seriousFindings,
  startBrowser,
  type Watched,
} from '../support/browser.ts'
import {
  fillViews,
  fitOf,
  focusOf,
  LONG_TOPIC,
  OF_MESSAGES,
  openView,
  paintedPoints,
  SCREENS,
  SHOWN,
  TABS,
  untilDrawn,
  untilFocused,
  VIEWS,
  type View,
  WITH_MESSAGES,
  WITHIN_MS,
} from '../support/debug-page.ts'
import { type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const CHROMIUM = findChromium()
const SKIP = CHROMIUM === undefined ? 'there is no Chromium here: apt-get install chromium' : false
const NAMES = ['ada', 'bea', 'cleo', 'dan', 'eve']
const WIDE = { width: 1360, height: 980 }
/** Views that have all colours there are. */
const ALL_COLOURS = ['Agents', 'Messages', 'Coordinator']
const MARKUP = '<img src=x onerror=alert(1)>'
describe('the debug page in a browser', { skip: SKIP, concurrency: 1 }, () => {
  let folder: string
  let opening: Promise<Browser> | undefined
  let watched: Watched
  let page: Page
  const peers = new Map<string, Peer>()
  const peer = (name: string): Peer => {
    const found = peers.get(name)
    assert.ok(found !== undefined)
    return found
  }
  const start = async (name: string, more: MeshOptionsInput = {}): Promise<void> => {
    const join_ = peers.get('ada')?.addresses ?? []
    const started = await startPeer({ name, mesh: 'page', ...(name !== 'ada' && { join: join_ }), ...more })
    peers.set(name, started)
  }
  const founding = (name: string): MeshOptionsInput => ({ dataDir: join(folder, name), coordination: { expect: 2 } })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-page-'))
    opening = startBrowser(CHROMIUM ?? '')
    await start('ada', { ...founding('ada'), debug: 0 })
    // The endpoint puts the page together when it is asked for it first.
    const page_ = fetch(peer('ada').debugUrl ?? '')
    const dan = start('dan', { labels: { zone: 'eu-central-1', says: MARKUP } })
    await Promise.all([start('bea', founding('bea')), start('cleo'), dan, start('eve'), page_])
    await Promise.all([
      peer('bea').ask('subscribe', { pattern: 'orders.placed' }),
      peer('cleo').ask('subscribe', { pattern: 'orders.paid' }),
    ])
    const browser = await opening
    watched = await openPage(browser, peer('ada').debugUrl ?? '', { viewport: WIDE, colorScheme: 'dark' })
    page = watched.page
  })
  after(async () => {
    // Also where a node did not start.
    const browser = await opening?.catch(() => undefined)
    await browser?.close()
    await Promise.all([...peers.values()].map((one) => one.kill()))
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })

  it('draws five nodes, whom they are connected to, and a crown on the coordinator', async () => {
    await untilDrawn(page, NAMES)
    await page.getByText('5 nodes, 10 connections').waitFor({ timeout: WITHIN_MS })
    assert.equal(await page.title(), 'ada in page – Parley')
    assert.ok((await paintedPoints(page)) > 3_000)
    await page.keyboard.press('l')
    const rows = page.getByRole('region', { name: 'Nodes of the mesh' }).locator('tbody tr')
    await until('somebody coordinates', async () => (await rows.getByLabel('coordinator').count()) === 1, WITHIN_MS)
    const texts = await rows.allInnerTexts()
    assert.equal(texts.length, 5)
    for (const name of NAMES) {
      const text = texts.find((one) => one.trimStart().startsWith(name)) ?? ''
      for (const other of NAMES) assert.ok(text.includes(other), `${name} is connected to ${other}: ${text}`)
    }
    await page.keyboard.press('l')
    await untilDrawn(page, NAMES)
  })

  it('has a node that is killed leave the drawing, and a new one appear', async () => {
    await peer('eve').kill()
    await untilDrawn(page, ['ada', 'bea', 'cleo', 'dan'])
    await page.getByText('4 nodes').first().waitFor()
    await start('fay')
    await untilDrawn(page, ['ada', 'bea', 'cleo', 'dan', 'fay'])
    const feed = page.locator('.inspector .feed')
    assert.match(await feed.innerText(), /eve left[\s\S]*|fay came/)
  })

  it('shows what peers say of themselves as text, never as markup', async () => {
    await page.getByText(`says=${MARKUP}`).waitFor()
    assert.equal(await page.locator('#page img, #page script').count(), 0)
  })

  it('can be used by keyboard alone', async () => {
    await page.keyboard.press('Tab')
    assert.equal((await focusOf(page)).name, 'Skip to the mesh')
    await page.keyboard.press('Enter')
    assert.equal((await focusOf(page)).name, 'main')
    const walk: string[] = []
    for (let step = 0; step < 20; step += 1) {
      await page.keyboard.press('Tab')
      const { name, ring } = await focusOf(page)
      // After the last one.
      if (name === '') break
      walk.push(name)
      assert.equal(ring, 'solid', `${name} shows that it has the focus`)
    }
    for (const place of ['Table', 'graph', 'tab-agents']) assert.ok(walk.includes(place), `${place} in ${walk}`)

    await page.keyboard.press('g')
    await untilFocused(page, 'graph')
    await page.keyboard.press('Home')
    const heading = page.locator('#inspector-title')
    assert.equal((await heading.innerText()).trim(), 'ada')
    for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown']) await page.keyboard.press(key)
    assert.ok([...peers.keys()].includes((await heading.innerText()).trim()))
    assert.match(await page.locator('[aria-live=polite]').innerText(), /: alive.*connections?/)
    await page.keyboard.press('Escape')
    assert.equal(await heading.innerText(), 'At a glance')

    for (const [at, tab] of TABS.entries()) {
      await page.keyboard.press(String((at + 1) % 10))
      await page.getByRole('tab', { name: tab, selected: true }).waitFor()
    }
    await untilFocused(page, 'tab-metrics')
    assert.equal(new URL(page.url()).hash, '#metrics')
    await page.keyboard.press('ArrowRight')
    assert.equal((await focusOf(page)).name, 'tab-parts')
    await page.getByRole('row', { name: /coordination running/ }).waitFor()
    await page.keyboard.press('ArrowRight')
    assert.equal((await focusOf(page)).name, 'tab-agents')
    await page.keyboard.press('/')
    await untilFocused(page, 'filter')
    await page.keyboard.type('fay?pt')
    assert.equal(await page.locator('#filter').inputValue(), 'fay?pt')
    await page.keyboard.press('Escape')
    await page.keyboard.press('p')
    await page.getByRole('button', { name: 'Go on' }).waitFor()
    await page.keyboard.press('p')
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden', timeout: WITHIN_MS })
    await page.keyboard.press('t')
    assert.equal(await page.evaluate('document.documentElement.dataset.colours'), 'light')
    await page.keyboard.press('t')
    await page.keyboard.press('t')
    assert.equal(await page.evaluate('document.documentElement.dataset.colours'), 'dark')
  })

  it('shows what a dead letter says, and sends it again, only with the key', async () => {
    await peer('bea').ask('receiveNotes', undefined)
    await peer('ada').ask('sendNotes', { to: peer('bea').id, isPoison: true, retry: { maxRetries: 0 } })
    await page.keyboard.press('6')
    const letters = page.getByRole('region', { name: 'Dead letters' })
    await letters.getByRole('button', { name: 'note' }).click({ timeout: WITHIN_MS })
    await page.getByText('What it says is shown with the key of this node').waitFor()
    assert.ok(await page.getByRole('button', { name: 'Send again' }).isDisabled())
    await page.locator('#key').fill('not the key')
    await page.getByRole('button', { name: 'Send again' }).click()
    await page
      .getByRole('tabpanel')
      .getByText(/needs the key of this node/)
      .waitFor()

    const { debugKey } = JSON.parse(await readFile(join(folder, 'ada', 'node.json'), 'utf8')) as { debugKey: string }
    await page.locator('#key').fill(debugKey)
    await page.getByText('"isPoison": true').waitFor()
    await peer('bea').ask('cure', undefined)
    await page.getByRole('button', { name: 'Send again' }).click()
    await page.getByRole('tabpanel').getByText('No message was given up.').waitFor({ timeout: WITHIN_MS })
    assert.deepEqual(
      await until('the note arrived', async () => {
        const notes = await peer('bea').ask('notes', undefined)
        return notes.length > 0 && notes
      }),
      [0],
    )
    assert.equal(
      await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage })'),
      '{"parley-colours":"system"}',
    )
    // The browser itself tells of the refusal.
    const refusal = watched.troubles.findIndex((text) => /status of 401/.test(text))
    assert.notEqual(refusal, -1)
    watched.troubles.splice(refusal, 1)
  })

  const open = (view: View): Promise<void> => openView(page, view)
  const region = (name: string) => page.getByRole('region', { name, exact: true })

  it('says who listens to a topic, who only takes its word, and keeps what is the mesh itself apart', async () => {
    await peer('ada').ask('publish', { topic: 'orders.placed', count: 3 })
    await open('Topics')
    const row = region('Topics').locator('tbody tr', { hasText: 'orders.placed' })
    await until(
      'it is told who listens',
      async () => /bea\s+pass it on, do not listen: cleo/.test(await row.innerText()),
      WITHIN_MS,
    )
    assert.equal(await page.getByText('coordination.epoch').count(), 0)
    await page.getByRole('button', { name: 'Of the mesh itself' }).click()
    await region('Topics of the mesh itself').getByText('coordination.epoch').waitFor()
  })

  it('counts calls of programs apart from those of the mesh itself', async () => {
    const echo = { to: peer('bea').id, method: 'echo', input: { text: 'two apples' } } as const
    await peer('ada').ask('call', { ...echo, options: { conversationId: 'fruit' } })
    await open('Calls')
    const row = region('Calls of programs').locator('tbody tr', { hasText: 'probe.echo' })
    await until('the call is counted', async () => /^probe\.echo\s+\S+\s+1\s+0/.test(await row.innerText()), WITHIN_MS)
    const own = await region('Calls of the mesh itself').innerText()
    for (const name of ['presence.', 'directory.']) assert.ok(own.includes(name), `${name} in ${own}`)
    assert.ok(!own.includes('probe.'))
    await page.getByRole('button', { name: 'Of the mesh itself' }).click()
    await region('Calls of the mesh itself').waitFor({ state: 'hidden' })
  })

  it('shows calls with a conversation id as a conversation, on both sides', async () => {
    const back = { to: peer('ada').id, method: 'echo', input: { text: 'and a pear' } } as const
    await peer('bea').ask('call', { ...back, options: { conversationId: 'fruit' } })
    await peer('ada')
      .ask('call', { ...back, method: 'fail', input: { typed: false }, options: { conversationId: 'fruit' } })
      .catch(() => {})
    await open('Conversations')
    await region('Conversations').getByRole('button', { name: 'fruit' }).click()
    const talk = page.getByRole('list', { name: 'Messages and calls of the conversation' })
    const said = async () => (await talk.locator('li > p').allInnerTexts()).map((text) => text.replace(/\s+/g, ' '))
    const [first, second, third] = await until(
      'all are there',
      async () => {
        const lines = await said()
        return lines.length >= 3 && lines
      },
      WITHIN_MS,
    )
    assert.match(first ?? '', /probe\.echo call to bea answered/)
    assert.match(second ?? '', /probe\.echo call from bea answered/)
    assert.match(third ?? '', /probe\.fail call to (ada|…\S+) failed APP001/)
  })

  it('finds dead letters by words, and groups them by reason, type and receiver', async () => {
    const poison = { isPoison: true, retry: { maxRetries: 0 } }
    for (const [name, count] of [
      ['cleo', 3],
      ['fay', 2],
    ] as const) {
      await peer(name).ask('receiveNotes', undefined)
      await peer('ada').ask('sendNotes', { to: peer(name).id, count, ...poison })
    }
    await open('Messages')
    const letters = region('Dead letters').locator('tbody tr')
    await until('all are dead', async () => (await letters.count()) === 5, WITHIN_MS)
    await page.keyboard.press('/')
    await untilFocused(page, 'letters-filter')
    await page.keyboard.type('fay -apples')
    await until('two are found', async () => (await letters.count()) === 2)
    for (const text of await letters.allInnerTexts()) assert.match(text, /note\s+fay\s+STA003/)
    await open('Agents')
    await open('Messages')
    assert.equal(await page.locator('#letters-filter').inputValue(), 'fay -apples')
    await until('two are found still', async () => (await letters.count()) === 2)
    await page.getByRole('button', { name: 'By type' }).click()
    assert.equal(await page.locator('#letters-filter').inputValue(), '')
    await page.locator('#letters-filter').fill('nothing of the kind')
    await page.getByText('No letter fits.').waitFor()
    await page.getByRole('button', { name: 'By receiver' }).click()
    const groups = region('Dead letters by receiver')
    await groups.locator('tbody tr').nth(1).waitFor()
    assert.match(await groups.innerText(), /cleo\s+3\s[\s\S]*fay\s+2\s/)
    await keepPicture(page, 'messages-by-receiver')
    for (const [how, key] of [
      ['By type', 'note'],
      ['By reason', 'STA003'],
    ] as const) {
      await page.getByRole('button', { name: how }).click()
      assert.match(
        await region(`Dead letters ${how.toLowerCase()}`).locator('tbody').innerText(),
        new RegExp(`^${key}\\s+5\\s`),
      )
    }
    await page.getByRole('button', { name: 'By receiver' }).click()
    await groups.getByRole('button', { name: 'cleo' }).click()
    await until('those of cleo are shown', async () => (await letters.count()) === 3)
    await page.getByRole('button', { name: 'cleo , show all again' }).click()
    await until('all are shown', async () => (await letters.count()) === 5)
  })

  it('shows tasks on a board by their state, and one with its attempts, effects and children', async () => {
    await peer('cleo').ask('workSums', undefined)
    const ada = peer('ada')
    await ada.ask('submitSum', { id: 'monday', of: [1, 2, 3], fails: 1, child: true })
    await ada.ask('submitSum', { id: 'tuesday', of: [1], fails: 2 })
    await ada.ask('submitSum', { id: 'asks', of: [1], waits: 'approval' })
    await ada.ask('submitUnknown', { id: 'stays' })
    assert.equal(await ada.ask('endOfTask', { id: 'monday' }), 'completed')
    assert.equal(await ada.ask('endOfTask', { id: 'tuesday' }), 'failed')
    await page.keyboard.press('7')
    const cardsOf = async (column: string): Promise<string> => (await region(column).innerText()).replace(/\s+/g, ' ')
    await until(
      'all are where they belong',
      async () => {
        const [ended, held, waiting] = [await cardsOf('Ended lately'), await cardsOf('Held'), await cardsOf('Waiting')]
        const isOver = /monday sum completed 2 attempts/.test(ended) && /tuesday sum failed 2 attempts/.test(ended)
        return (
          isOver &&
          /asks sum input_required.*wants approval/.test(held) &&
          /stays nobody-does-this queued/.test(waiting)
        )
      },
      WITHIN_MS,
    )
    await region('Ended lately').getByRole('button', { name: 'monday', exact: true }).click()
    const one = region('monday')
    await one.getByText('completed').waitFor({ timeout: WITHIN_MS })
    const told = (await one.innerText()).replace(/\s+/g, ' ')
    const time = '[\\d:-]+(?: [\\d:]+)?'
    const steps = [
      ...[
        'submitted ada',
        'Attempt 1',
        'given to a worker cleo',
        'running',
        'effect sum all, 1 bytes',
        'the attempt failed: ',
      ],
      ...[
        'Attempt 2',
        'given to a worker cleo',
        'running',
        'checkpoint, 1 bytes',
        'submitted the task monday.part monday.part',
      ],
      ...['effect told, 1 bytes', 'completed'],
    ]
    const expected = steps.map((step) => (step.startsWith('Attempt') ? step : `${time} ${step}`)).join('.*?')
    assert.match(told, new RegExp(expected))
    await one.getByRole('button', { name: 'monday.part', exact: true }).click()
    await region('monday.part').getByText('submitted by the task monday').waitFor({ timeout: WITHIN_MS })
    await region('monday.part').getByRole('button', { name: 'monday', exact: true }).click()
    await one.getByText('Attempt 2').waitFor({ timeout: WITHIN_MS })
    await region('Ended lately').getByRole('button', { name: 'tuesday', exact: true }).click()
    await region('tuesday').getByText('onerror=alert(1)').first().waitFor({ timeout: WITHIN_MS })
    assert.equal(await page.locator('#page img, #page script').count(), 0)
    await keepPicture(page, 'tasks-chosen')
    const findings = await seriousFindings(page, '.tabs', true)
    assert.deepEqual(findings, [])
    await page.getByRole('button', { name: 'Close tuesday' }).click()
    await region('tuesday').waitFor({ state: 'detached' })
  })

  it('folds the graph, and leaves it folded after a reload', async () => {
    const canvas = page.locator('#graph')
    await page.keyboard.press('f')
    await canvas.waitFor({ state: 'detached' })
    await page.reload()
    await page.getByRole('button', { name: 'Unfold the graph' }).waitFor()
    assert.equal(await canvas.count(), 0)
    await page.keyboard.press('g')
    await untilFocused(page, 'graph')
    // Also where the node has not answered yet.
    const answer = Promise.withResolvers<void>()
    await page.route('**/api/overview*', (route) => answer.promise.then(() => route.continue()))
    await page.reload()
    await page.getByText('Asking the node').first().waitFor()
    await page.keyboard.press('g')
    await page.evaluate('new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)))')
    assert.notEqual((await focusOf(page)).name, 'graph')
    answer.resolve()
    await untilFocused(page, 'graph')
    await page.unroute('**/api/overview*')
    // From here on as who never folded it sees it, and without motion.
    await page.evaluate("localStorage.removeItem('parley-graph')")
    await page.emulateMedia({ reducedMotion: 'reduce' })
    await page.reload()
    await untilDrawn(page, ['ada', 'bea', 'cleo', 'dan', 'fay'])
  })

  it('has nothing serious for axe-core to find, in any view, in dark and light', async () => {
    const findings = new Map<string, string[]>()
    const look = async (what: string, within: string, isLightToo = true): Promise<void> => {
      const found = await seriousFindings(page, within, isLightToo)
      if (found.length > 0) findings.set(what, found)
    }
    await fillViews(['ada', 'bea', 'cleo', 'eve'].map(peer))
    await page.keyboard.press('g')
    await untilFocused(page, 'graph')
    await page.keyboard.press('Home')
    for (const [at, tab] of TABS.entries()) {
      await page.keyboard.press(String((at + 1) % 10))
      await page.getByRole('tab', { name: tab, selected: true }).waitFor()
      await page.locator(VIEWS[tab]).first().waitFor({ timeout: WITHIN_MS })
      // What is around the views is the same for all.
      await look(tab, at === 0 ? 'html' : '.tabs', ALL_COLOURS.includes(tab))
    }
    await page.keyboard.press('l')
    await look('table', '.graph')
    await page.keyboard.press('l')
    await page.keyboard.press('?')
    await look('keys', 'dialog')
    await keepPicture(page, 'keys')
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    assert.deepEqual(Object.fromEntries(findings), {})
  })

  for (const [screen, size] of Object.entries(SCREENS)) {
    const { width, height } = size
    it(`has each view on the first screen and nothing clipped, ${width} × ${height}, light and dark`, async (test) => {
      await page.setViewportSize(size)
      const wrong = new Map<string, unknown>()
      let asked = 0
      for (const tab of [...TABS.filter((one) => !WITH_MESSAGES.includes(one)), ...WITH_MESSAGES]) {
        if (tab === WITH_MESSAGES[0]) {
          const early = watched.requests.slice(asked).filter((path) => OF_MESSAGES.test(path))
          assert.deepEqual(early, [], 'nothing is asked for views that are not shown')
        }
        await open(tab)
        if (tab === 'Events') await peer('ada').ask('publish', { topic: LONG_TOPIC })
        const rows = page.locator(VIEWS[tab])
        await rows
          .filter({ hasText: SHOWN[tab] ?? '' })
          .first()
          .waitFor({ timeout: WITHIN_MS })
        if (tab === 'Conversations') {
          const fruit = region('Conversations').getByRole('button', { name: 'fruit' })
          if ((await fruit.getAttribute('aria-pressed')) !== 'true') await fruit.click()
          await page.locator('.talk li').nth(3).waitFor()
        }
        if (asked === 0) asked = watched.requests.length
        const fit = await fitOf(page, VIEWS[tab])
        if (fit.wrong.length > 0) wrong.set(tab, fit.wrong)
        // Two rows at least, or the head of a chart.
        if (fit.top > height - 150) wrong.set(`${tab} begins`, fit.top)
        if (!KEEPS_PICTURES) continue
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme })
          const name = `${tab.toLowerCase()}-${screen}-${colorScheme}`
          test.diagnostic((await keepPicture(page, name, screen === 'narrow')) ?? '')
        }
      }
      assert.deepEqual(Object.fromEntries(wrong), {})
    })
  }

  it('has the graph and its table, and a chosen node, fit a narrow screen too', async () => {
    await open('Agents')
    await page.keyboard.press('l')
    await region('Nodes of the mesh and their connections').locator('tbody tr').first().waitFor()
    assert.deepEqual((await fitOf(page, '.graph')).wrong, [])
    await keepPicture(page, 'table-narrow', true)
    await page.keyboard.press('g')
    await untilFocused(page, 'graph')
    await page.keyboard.press('Home')
    await page.getByRole('button', { name: 'Let go of this node' }).waitFor()
    assert.deepEqual((await fitOf(page, '.graph')).wrong, [])
    await keepPicture(page, 'chosen-narrow', true)
    await page.setViewportSize(SCREENS.wide)
    assert.deepEqual((await fitOf(page, '.graph')).wrong, [])
    await keepPicture(page, 'chosen-wide')
    await page.keyboard.press('Escape')
    await page.setViewportSize(WIDE)
    await untilDrawn(page, ['ada', 'bea', 'cleo', 'dan', 'fay'])
  })

  it('had no error on its console and broke no policy so far', () => {
    assert.deepEqual(watched.troubles, [])
  })

  it('says when the node is gone, and goes on by itself when it is back', async () => {
    const { port } = new URL(peer('ada').debugUrl ?? '')
    await peer('ada').kill()
    await page.getByText('The node does not answer.').first().waitFor({ timeout: WITHIN_MS })
    await start('ada', { ...founding('ada'), join: peer('bea').addresses, debug: Number(port) })
    await page.getByText('The node does not answer.').first().waitFor({ state: 'hidden', timeout: WITHIN_MS })
    await untilDrawn(page, ['ada', 'bea', 'cleo', 'dan', 'fay'])
  })
})
