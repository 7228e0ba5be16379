import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { Hono } from 'hono'
import { bundlePage } from '../../../../../../node/observe/dashboard/bundle-page.ts'
import { createAssets } from '../../../../../../node/observe/dashboard/page-assets.ts'
import { startDebugServer } from '../../../../../../node/observe/debug/debug-server.ts'
import { addPageRoutes } from '../../../../../../node/observe/debug/routes/page-routes.ts'
import { ask, createSource } from '../debug-client.ts'

const BUILD = fileURLToPath(new URL('../../../../../../node/observe/dashboard/build-page.ts', import.meta.url))
/** Of all files together, as they go over the wire. */
const MAX_BYTES = 80 * 1024

const get = (url: string, headers: Record<string, string>): Promise<{ status: number; body: Buffer; zip: unknown }> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks),
          zip: response.headers['content-encoding'],
        }),
      )
    })
    sent.on('error', reject).end()
  })

describe('the debug page on the endpoint', () => {
  it('is small', async () => {
    const files = await bundlePage()
    const sizes = Object.values(files).map((file) => gzipSync(file, { level: 9 }).length)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    assert.ok(total > 10_000 && total <= MAX_BYTES, `the page is ${total} bytes in all, zipped`)
  })

  it('loads nothing from elsewhere and holds no inline program or style', async () => {
    const files = await bundlePage()
    const text = Object.values(files)
      .map((file) => new TextDecoder().decode(file))
      .join('\n')
    const urls = [...text.matchAll(/https?:\/\/[^\s"'`)\\]+/g)].map(([url]) => url)
    // Names of XML, of which nothing is fetched.
    assert.deepEqual(
      urls.filter((url) => !url.startsWith('http://www.w3.org/')),
      [],
    )
    const page = new TextDecoder().decode(files.html)
    assert.doesNotMatch(page, /<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)/)
  })

  it('is served with a policy that lets it run its own files and talk to this endpoint alone', async () => {
    const { url, close } = await startDebugServer(createSource().source)
    try {
      for (const [path, type] of [
        ['/', 'text/html; charset=utf-8'],
        ['/page.js', 'text/javascript; charset=utf-8'],
        ['/page.css', 'text/css; charset=utf-8'],
      ]) {
        const { status, headers } = await ask(url + path)
        assert.deepEqual([status, headers['content-type'], headers['cache-control']], [200, type, 'no-cache'])
        const policy = String(headers['content-security-policy'])
        assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/)
        assert.doesNotMatch(policy, /unsafe|\*|https?:/)
        assert.match(policy, /frame-ancestors 'none'/)
      }
      assert.equal((await ask(url, { headers: { host: 'evil.example' } })).status, 403)
      assert.equal((await ask(url, { method: 'POST' })).status, 405)
      assert.equal((await ask(url, { method: 'HEAD' })).body, '')
    } finally {
      await close()
    }
  })

  it('is sent zipped to who takes that, and not again to who has it', async () => {
    const { url, close } = await startDebugServer(createSource().source)
    try {
      const plain = await get(`${url}/page.js`, {})
      const zipped = await get(`${url}/page.js`, { 'accept-encoding': 'br, gzip' })
      assert.deepEqual([plain.zip, zipped.zip], [undefined, 'gzip'])
      assert.ok(gunzipSync(zipped.body).equals(plain.body))
      const { etag } = (await ask(`${url}/page.js`)).headers
      assert.match(String(etag), /^"[\w-]{22}"$/)
      const again = await get(`${url}/page.js`, { 'if-none-match': String(etag) })
      assert.deepEqual([again.status, again.body.length], [304, 0])
    } finally {
      await close()
    }
  })

  it('says how to build it where it is not there, and is there once it is built', async () => {
    const app = new Hono()
    const logged: unknown[] = []
    const log = { error: (_: string, fields: unknown) => logged.push(fields), warn() {}, info() {} }
    let isBuilt = false
    const real = createAssets()
    addPageRoutes(app, log, async () => () => (isBuilt ? real() : Promise.reject(new Error('esbuild is not here'))))
    const page = await app.request('/')
    assert.equal(page.status, 503)
    assert.match(await page.text(), /npm run build/)
    assert.equal((await app.request('/page.js')).headers.get('content-type'), 'application/problem+json')
    assert.equal(logged.length, 2)
    isBuilt = true
    assert.equal((await app.request('/')).status, 200)
  })

  it('is loaded once, however many ask at the same time', async () => {
    const load = createAssets()
    const [one, two] = await Promise.all([load(), load()])
    assert.equal(one, two)
  })

  it('is written to a folder by the build', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-page-'))
    try {
      await promisify(execFile)(process.execPath, [BUILD, folder])
      const files = await bundlePage()
      assert.deepEqual(new Uint8Array(await readFile(join(folder, 'page.css'))), new Uint8Array(files.css))
      assert.match(await readFile(join(folder, 'page.html'), 'utf8'), /page\.js/)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
