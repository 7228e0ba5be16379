/** All documents of the repository, and what their generated parts should be. Reads files. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { createProgram } from '../../node/cli/main.ts'
import { parseOptions } from '../../node/index.ts'
import * as builtIn from '../../node/parts/built-in.ts'
import * as planParts from '../../node/parts/plan-parts.ts'
import { asyncApiText } from './asyncapi/document.ts'
import { methods } from './methods.ts'
import { metricsOfNode } from './metrics.ts'
import { renew } from './regions.ts'
import {
  codes,
  commands,
  configuration,
  metrics,
  otherReasons,
  parts,
  presets,
  proto,
  reasons,
  routes,
} from './tables.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** By path from the root, in order. */
export const pages = (): string[] =>
  ['*.md', 'docs/**/*.md', 'docker/*.md', 'examples/**/*.md']
    .flatMap((form) => globSync(form, { cwd: ROOT }))
    .filter((path) => !path.startsWith('docs/api/') && path !== 'report.md')
    .sort()

const PROTO = /^proto:(.+)$/

interface RenewedPage {
  readonly path: string
  readonly kept: string
  readonly renewed: string
}

export const ASYNC_API = 'docs/asyncapi.json'
const renewedAsyncApi = (): RenewedPage => {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
  const kept = existsSync(join(ROOT, ASYNC_API)) ? read(ASYNC_API) : ''
  return { path: ASYNC_API, kept, renewed: asyncApiText(version) }
}

/** Each page with what it should be. Starts a node for a moment. */
export const renewedPages = async (): Promise<RenewedPage[]> => {
  const texts = new Map<string, () => string>([
    ['configuration', configuration],
    ['presets', presets],
    ['parts', () => parts([...Object.values(builtIn), ...Object.values(planParts)])],
    ['codes', () => codes(read('protocols/errors.ts'))],
    ['reasons', () => reasons(read('protocols/state-reasons.ts'))],
    ['other-reasons', () => otherReasons(read('protocols/error-reasons.ts'))],
    ['commands', () => commands(createProgram())],
    ['routes', routes],
    ['methods', () => methods(read)],
  ])
  const shown = await metricsOfNode()
  texts.set('metrics', () => metrics(shown))
  const textOf = (name: string): string => {
    const [, path] = PROTO.exec(name) ?? []
    const text = path === undefined ? texts.get(name)?.() : proto(read(path))
    if (text === undefined) throw new Error(`nobody writes the part ${name}`)
    return text
  }
  const options = parseOptions({})
  const renewed = pages().map((path) => {
    const kept = read(path)
    return { path, kept, renewed: renew(kept, textOf, options) }
  })
  return [...renewed, renewedAsyncApi()]
}
