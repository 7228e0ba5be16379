/**
 * A real browser for tests: the Chromium of this machine, headless. A page notes what must not happen: errors on the
 * console, exceptions, violations of the policy of the page; and what it asked for.
 */
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const PLACES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
const FOLDER = fileURLToPath(new URL('../artefacts/', import.meta.url))
/** Pictures cost more time than all else that a test does with a page; `.ci/run` wants them. */
export const KEEPS_PICTURES = process.env.TEST_PICTURES === 'keep'

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Undefined where there is none; the variable CHROMIUM names another one. */
export const findChromium = (): string | undefined => {
  const { CHROMIUM, PATH = '' } = process.env
  const paths = PATH.split(':').flatMap((folder) => PLACES.map((name) => join(folder, name)))
  return [...(CHROMIUM === undefined ? [] : [CHROMIUM]), ...paths].find(isProgram)
}

export const startBrowser = (path: string): Promise<Browser> =>
  chromium.launch({
    executablePath: path,
    args: ['--disable-dev-shm-usage', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  })

export interface Watched {
  readonly page: Page
  /** What went wrong on the page. */
  readonly troubles: string[]
  /** Paths that it asked for, with their queries. */
  readonly requests: string[]
  close(): Promise<void>
}

export const openPage = async (browser: Browser, url: string, options: BrowserContextOptions): Promise<Watched> => {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const troubles: string[] = []
  const requests: string[] = []
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url())
    requests.push(pathname + search)
  })
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => troubles.push(`exception: ${error.message}`))
  await page.exposeFunction('noteViolation', (text: string) => void troubles.push(`policy: ${text}`))
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
    window.noteViolation(event.violatedDirective + ' ' + event.blockedURI))`)
  await page.goto(url)
  return { page, troubles, requests, close: () => context.close() }
}

interface Finding {
  readonly id: string
  readonly impact: string | null
  readonly help: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/**
 * What axe-core finds in the dark page that is serious or worse, in words, and what it finds of contrast when it is light:
 * that is all in which the two differ.
 * @param within selector of the part that is looked at @param isLightToo in both colours, rather than in dark ones alone
 */
export const seriousFindings = async (page: Page, within: string, isLightToo: boolean): Promise<string[]> => {
  if (await page.evaluate('window.axe === undefined')) {
    const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    // By the debugger's protocol, which the policy of the page does not bind.
    await page.evaluate(source)
  }
  const found = await page.evaluate<readonly Finding[]>(`(async () => {
    // The page plays nothing and turns nothing, which is what axe would fetch its styles and media for.
    const options = { resultTypes: ['violations'], selectors: false, preload: false }
    const { dataset } = document.documentElement
    const look = async (colours, more) => {
      dataset.colours = colours
      return (await axe.run(${JSON.stringify(within)}, { ...options, ...more })).violations
    }
    const before = dataset.colours
    const dark = await look('dark', {})
    const light = !${isLightToo} ? [] : await look('light', { runOnly: { type: 'rule', values: ['color-contrast'] } })
    dataset.colours = before
    return [...dark, ...light]
  })()`)
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html} ${failureSummary}`),
    )
}

/** Where pictures are kept. @param isWhole also what is below the screen @returns where this one is, if it is kept */
export const keepPicture = async (page: Page, name: string, isWhole = false): Promise<string | undefined> => {
  if (!KEEPS_PICTURES) return undefined
  await mkdir(FOLDER, { recursive: true })
  const path = join(FOLDER, `${name}.png`)
  await page.screenshot({ path, fullPage: isWhole })
  return path
}
