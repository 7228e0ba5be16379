/**
 * The debug page as three files: its sources in `page/`, bundled by esbuild. Run at `npm run build` (build-page.ts), and in
 * a source checkout at the first request. The libraries in it are named at the head of the program.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const PAGE = fileURLToPath(new URL('./page/', import.meta.url))

/** All licences ask for this much of a copy. */
const NOTICE = `/*! The debug page of Parley (MIT). With Preact, Signals (MIT, Jason Miller and the Preact authors), htm (Apache-2.0, Google),
d3-force, d3-dispatch, d3-quadtree, d3-timer (ISC, Mike Bostock) and uPlot (MIT, Leon Sorokin). */`

export interface PageFiles {
  readonly html: Uint8Array
  readonly js: Uint8Array
  readonly css: Uint8Array
}

/** @throws where esbuild is not installed, or a source is wrong */
export const bundlePage = async (): Promise<PageFiles> => {
  // Its process is not ended here: another node in this process may be bundling, and it keeps nothing alive.
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [`${PAGE}page.ts`, `${PAGE}page.css`],
    outdir: PAGE,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    banner: { js: NOTICE },
    logLevel: 'silent',
  })
  const find = (end: string): Uint8Array => {
    const file = outputFiles.find(({ path }) => path.endsWith(end))
    if (file === undefined) throw new Error(`esbuild made no ${end}`)
    return file.contents
  }
  return { html: await readFile(`${PAGE}page.html`), js: find('page.js'), css: find('page.css') }
}
