/**
 * The files of the debug page, loaded when `/` is asked for the first time: those that were built with the package, else,
 * in a source checkout, bundled in memory. State: the promise of them.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { PageFiles } from './bundle-page.ts'

/** What the page is made of, by the path that it is served at. */
const ASSETS = { '/': 'html', '/page.js': 'js', '/page.css': 'css' } as const
export type AssetPath = keyof typeof ASSETS

export interface Asset {
  readonly body: Uint8Array<ArrayBuffer>
  readonly zipped: Uint8Array<ArrayBuffer>
  /** Quoted, as HTTP has it. */
  readonly etag: string
}
export type Assets = Readonly<Record<AssetPath, Asset>>

const BUILT = new URL('./built/', import.meta.url)
const PATHS = Object.keys(ASSETS) as AssetPath[]

const readBuilt = async (): Promise<PageFiles> => {
  const [html, js, css] = await Promise.all([
    readFile(new URL('page.html', BUILT)),
    readFile(new URL('page.js', BUILT)),
    readFile(new URL('page.css', BUILT)),
  ])
  return { html, js, css }
}

/** @throws where the page was not built and esbuild is not installed */
const readFiles = async (): Promise<PageFiles> => {
  const built = await readBuilt().catch(() => undefined)
  return built ?? (await import('./bundle-page.ts')).bundlePage()
}

const pack = async (bytes: Uint8Array): Promise<Asset> => {
  const body = new Uint8Array(bytes)
  const zipped = new Uint8Array(await promisify(gzip)(body, { level: 9 }))
  return { body, zipped, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}

/** Loads once; after a failure the next request tries again. */
export const createAssets = (): (() => Promise<Assets>) => {
  let loading: Promise<Assets> | undefined
  const load = async (): Promise<Assets> => {
    const files = await readFiles()
    const packed = await Promise.all(PATHS.map(async (path) => [path, await pack(files[ASSETS[path]])] as const))
    return Object.fromEntries(packed) as Assets
  }
  return () => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
}
