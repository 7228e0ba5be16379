/**
 * The files of the debug page, loaded when `/` is asked for the first time: those that were built with the package, else,
 * in a source checkout, bundled in memory. State: the promise of them.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

export const ASSETS = { '/': 'page.html', '/page.js': 'page.js', '/page.css': 'page.css' } as const
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

const built = (path: AssetPath): Promise<Uint8Array> => readFile(new URL(ASSETS[path], BUILT))

/** @throws where the page was not built and esbuild is not installed */
const read = async (): Promise<Record<AssetPath, Uint8Array>> => {
  const files = await Promise.all(PATHS.map(built)).catch(() => undefined)
  if (files === undefined) return (await import('./bundle-page.ts')).bundlePage()
  const [page, js, css] = files
  return { '/': page as Uint8Array, '/page.js': js as Uint8Array, '/page.css': css as Uint8Array }
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
    const files = await read()
    const packed = await Promise.all(PATHS.map(async (path) => [path, await pack(files[path])] as const))
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
