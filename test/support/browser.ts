/**
 * A real browser for tests: the Chromium of this machine, headless. A page notes what must not happen: errors on the
 * console, exceptions, violations of the policy of the page.
 */
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const PLACES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
const FOLDER = fileURLToPath(new URL('../artefacts/', import.meta.url))

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
  close(): Promise<void>
}

export const openPage = async (browser: Browser, url: string, options: BrowserContextOptions): Promise<Watched> => {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const troubles: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => troubles.push(`exception: ${error.message}`))
  await page.exposeFunction('noteViolation', (text: string) => void troubles.push(`policy: ${text}`))
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
    window.noteViolation(event.violatedDirective + ' ' + event.blockedURI))`)
  await page.goto(url)
  return { page, troubles, close: () => context.close() }
}

interface Finding {
  readonly id: string
  readonly impact: string | null
  readonly help: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/** What axe-core finds that is serious or worse, in words. */
export const seriousFindings = async (page: Page): Promise<string[]> => {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  // By the debugger's protocol, which the policy of the page does not bind.
  await page.evaluate(`if (window.axe === undefined) { ${source} }`)
  const found = (await page.evaluate('window.axe.run(document, { resultTypes: ["violations"] })')) as {
    violations: readonly Finding[]
  }
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html} ${failureSummary}`),
    )
}

/** @param isWhole also what is below the screen @returns where it is kept */
export const keepPicture = async (page: Page, name: string, isWhole = false): Promise<string> => {
  await mkdir(FOLDER, { recursive: true })
  const path = join(FOLDER, `${name}.png`)
  await page.screenshot({ path, fullPage: isWhole })
  return path
}

/** What the layout of the page has to fit: cells, what holds them, and lines of text and controls. */
const FITTED =
  'th, td, dd, li, p, header, .scroll, .tools, .key, .switch, [role=tabpanel], [role=tablist], .columns > *'

/** What is wider than its place, or reaches over the edge of the screen; empty where all can be read. */
export const clippedParts = (page: Page): Promise<string[]> =>
  page.evaluate(`(() => {
    const { clientWidth: width, scrollWidth } = document.documentElement
    const found = scrollWidth > width ? ['the page is ' + scrollWidth + ' wide of ' + width] : []
    for (const element of document.querySelectorAll(${JSON.stringify(FITTED)})) {
      if (element.offsetParent === null || element.closest('.cards thead, .visually-hidden') !== null) continue
      const { left, right } = element.getBoundingClientRect()
      const isOver = left < -0.5 || right > width + 0.5
      if (!isOver && element.scrollWidth <= element.clientWidth) continue
      const what = element.tagName + '.' + element.className + ' ' + element.textContent.trim().slice(0, 60)
      found.push(what + ': ' + element.scrollWidth + ' in ' + element.clientWidth + ', to ' + Math.round(right))
    }
    return found
  })()`)
