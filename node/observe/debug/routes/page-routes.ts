/**
 * The debug page on the endpoint. Its files, some 250 KB, are loaded when somebody asks; nothing else of it is in the
 * process. State: whatever page-assets.ts loaded.
 *
 * The page may run its own program and talk to this endpoint, and nothing else: no inline script, no other origin, no
 * frame, no markup made from text. Source: Content Security Policy Level 3, Trusted Types.
 */
import type { Context, Hono } from 'hono'
import type { Log } from '../../../../protocols/port.ts'
import type { AssetPath, Assets } from '../../dashboard/page-assets.ts'
import { problemResponse, respond } from '../../http/http-responses.ts'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const TYPES: Record<AssetPath, string> = {
  '/': 'text/html; charset=utf-8',
  '/page.js': 'text/javascript; charset=utf-8',
  '/page.css': 'text/css; charset=utf-8',
}

const MISSING = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Parley</title>
<h1>The debug page is not built</h1>
<p>In a source checkout it is bundled by esbuild, which is not installed here or failed: see the log of this node. Run <code>npm ci</code>, or <code>npm run build</code>.</p>
<p>All that it shows is at <a href="/api/overview">/api/overview</a>, described by <a href="/openapi.json">/openapi.json</a>.</p>
</html>
`

type Load = () => Promise<Assets>

const loader = async (): Promise<Load> => (await import('../../dashboard/page-assets.ts')).createAssets()

/** @returns the paths */
export const addPageRoutes = (app: Hono, log: Log | undefined, makeLoad: () => Promise<Load> = loader): string[] => {
  let load: Load | undefined

  const show = async (c: Context, path: AssetPath): Promise<Response> => {
    let assets: Assets
    try {
      load ??= await makeLoad()
      assets = await load()
    } catch (error) {
      log?.error('the debug page could not be loaded', { error })
      return path === '/'
        ? respond(MISSING, TYPES['/'], 503)
        : problemResponse(503, 'the debug page is not built', 'run `npm run build`')
    }
    const { body, zipped, etag } = assets[path]
    const headers = { 'cache-control': 'no-cache', 'content-security-policy': POLICY, etag, vary: 'accept-encoding' }
    if (c.req.header('if-none-match') === etag) return respond(null, TYPES[path], 304, headers)
    const mayZip = /\bgzip\b/.test(c.req.header('accept-encoding') ?? '')
    return respond(mayZip ? zipped : body, TYPES[path], 200, {
      ...headers,
      ...(mayZip && { 'content-encoding': 'gzip' }),
    })
  }

  const paths = Object.keys(TYPES) as AssetPath[]
  for (const path of paths) {
    app.all(path, (c) =>
      c.req.method === 'GET' || c.req.method === 'HEAD'
        ? show(c, path)
        : problemResponse(405, `${path} cannot be used with ${c.req.method}`, 'use GET', { allow: 'GET, HEAD' }),
    )
  }
  return paths
}
