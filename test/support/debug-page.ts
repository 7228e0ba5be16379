/** The debug page as tests look at it: its views, what is drawn, who has the focus, how it fits its screen. Keeps no state. */
import type { Page } from 'playwright-core'
import type { Peer } from './processes.ts'
import { until } from './until.ts'

/** Each view, and what it shows on the first screen once it has its data. */
export const VIEWS = {
  Agents: '[aria-label="Agents"] tbody tr',
  Peers: '[aria-label="Peers"] tbody tr',
  Topics: '[aria-label="Topics"] tbody tr',
  Calls: '[aria-label="Calls of programs"] tbody tr',
  Conversations: '[aria-label="Conversations"] tbody tr',
  Messages: '[aria-label="Dead letters"] tbody tr',
  Tasks: '.stacks .card',
  Coordinator: '[aria-label="Seats"] tbody tr',
  Events: '.feed.long li',
  Metrics: '.charts canvas',
}
export type View = keyof typeof VIEWS
export const TABS = Object.keys(VIEWS) as View[]
/** These two ask for more than all views do. */
export const WITH_MESSAGES: readonly View[] = ['Conversations', 'Messages']
export const OF_MESSAGES = /^\/api\/(?:conversations|dlq|inbox)/

/** Texts without a blank in them, wider than a narrow screen. */
const LONG = 'a-conversation-whose-name-is-longer-than-a-narrow-screen-is-wide-and-has-no-blank-in-it'
export const LONG_TOPIC =
  'stock.of-the-warehouse-of-a-city-that-has-a-very-long-name.on-the-third-floor-of-its-older-building'
/** What a view has to show before it is looked at. */
export const SHOWN: Partial<Record<View, string>> = { Topics: LONG_TOPIC, Conversations: LONG, Events: LONG_TOPIC }

export const SCREENS = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } }
export const WITHIN_MS = 60_000

/** What the layout of the page has to fit: cells, what holds them, and lines of text and controls. */
const FITTED =
  'th, td, dd, dt, li, p, h2, h3, header, .scroll, .tools, .key, .switch, [role=tabpanel], [role=tablist], .columns > *'

interface Fit {
  /** What is wider than its place, reaches over the edge of the screen, or lies over what is beside it, by colours. */
  readonly wrong: string[]
  /** Where what `first` names begins, from the top of the screen. */
  readonly top: number
}

/** How the page fits its screen, scrolled to its top, in light and in dark colours. @param first a selector */
export const fitOf = (page: Page, first: string): Promise<Fit> =>
  page.evaluate(`(() => {
    scrollTo(0, 0)
    const root = document.documentElement
    const isSeen = (element) => element.offsetParent !== null && element.closest('.cards thead, .visually-hidden') === null
    const nameOf = (element) => element.tagName + '.' + element.className + ' ' + element.textContent.trim().slice(0, 60)
    const look = () => {
      const { clientWidth: width, scrollWidth } = root
      const found = scrollWidth > width ? ['the page is ' + scrollWidth + ' wide of ' + width] : []
      for (const element of document.querySelectorAll(${JSON.stringify(FITTED)})) {
        if (!isSeen(element)) continue
        const { left, right } = element.getBoundingClientRect()
        const isOver = left < -0.5 || right > width + 0.5
        if (!isOver && element.scrollWidth <= element.clientWidth && element.scrollHeight <= element.clientHeight + 1) continue
        const isScrolled = ['auto', 'scroll'].includes(getComputedStyle(element).overflowY)
        if (!isOver && element.scrollWidth <= element.clientWidth && isScrolled) continue
        const tall = element.scrollHeight + ' in ' + element.clientHeight + ' high'
        found.push(nameOf(element) + ': ' + element.scrollWidth + ' in ' + element.clientWidth + ', to ' + Math.round(right) + ', ' + tall)
      }
      return found
    }
    const before = root.dataset.colours
    const wrong = ['light', 'dark'].flatMap((colours) => {
      root.dataset.colours = colours
      return look().map((what) => colours + ': ' + what)
    })
    root.dataset.colours = before
    return { wrong, top: document.querySelector(${JSON.stringify(first)}).getBoundingClientRect().top }
  })()`)

/** Names of the nodes on the canvas, as whoever drew them says. */
const drawnNames = async (page: Page): Promise<string> =>
  (await page.locator('#graph').getAttribute('data-drawn')) ?? ''

/** Points of the canvas that are not empty. */
export const paintedPoints = (page: Page): Promise<number> =>
  page.evaluate(`(() => {
    const canvas = document.getElementById('graph')
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let points = 0
    for (let at = 3; at < data.length; at += 4) if (data[at] > 128) points += 1
    return points
  })()`)

interface Focus {
  /** Its id, label or text; empty where the browser itself has the focus. */
  readonly name: string
  /** Whether that can be seen. */
  readonly ring: string
}

export const focusOf = (page: Page): Promise<Focus> =>
  page.evaluate(`(() => {
    const { activeElement: element, body } = document
    const name = element === body ? '' : element.id || element.getAttribute('aria-label') || element.textContent.trim()
    return { name, ring: getComputedStyle(element).outlineStyle }
  })()`)

export const untilDrawn = (page: Page, names: readonly string[]): Promise<unknown> => {
  const wanted = [...names].sort().join(' ')
  return until(`${wanted} are drawn`, async () => (await drawnNames(page)) === wanted, WITHIN_MS)
}

export const untilFocused = (page: Page, name: string): Promise<unknown> =>
  until(`${name} has the focus`, async () => (await focusOf(page)).name === name)

export const openView = async (page: Page, view: View): Promise<void> => {
  await page.getByRole('tab', { name: view }).click()
  await page.getByRole('tab', { name: view, selected: true }).waitFor()
}

/** Has something in each view of the first one's page: at work, kept, on its way to who is gone, with long names. */
export const fillViews = async ([ada, bea, cleo, gone]: readonly (Peer | undefined)[]): Promise<void> => {
  if (ada === undefined || bea === undefined || cleo === undefined || gone === undefined) throw new Error('four peers')
  const hold = { to: cleo.id, method: 'hold', input: { tag: 'long' }, options: { timeoutMs: 100_000 } } as const
  await ada.ask('openInbox', undefined)
  await Promise.all([
    ada.ask('begin', hold),
    bea.ask('sendNotes', { to: ada.id, count: 2 }),
    ada.ask('sendNotes', { to: gone.id }),
    ada.ask('call', { to: bea.id, method: 'echo', input: { text: 'long' }, options: { conversationId: LONG } }),
    ada.ask('publish', { topic: LONG_TOPIC, count: 20 }),
  ])
}
