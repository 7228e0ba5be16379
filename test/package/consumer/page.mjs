// The debug page and all that it loads come from the package alone.
import assert from 'node:assert/strict'
import { createMesh } from 'parley-mesh'

const mesh = await createMesh({ debug: 0, log: 'error' })
const at = new URL(mesh.debugUrl)
const page = await fetch(at)
const html = await page.text()
assert.equal(page.status, 200)
assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
const parts = [...html.matchAll(/(?:src|href)="([^"#]+\.(?:js|css|svg))"/g)].map(([, path]) => new URL(path, at))
assert.ok(
  parts.some(({ pathname }) => pathname.endsWith('.js')),
  `a page without a script: ${html.slice(0, 500)}`,
)
for (const part of parts) {
  const { status } = await fetch(part)
  assert.equal(status, 200, part.pathname)
  assert.equal(part.host, at.host, 'all of it comes from the node itself')
}
await mesh.stop()
