import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startHealthListener } from '../../../node/observe/health-listener.ts'
import { createSource } from '../node/observe/debug/debug-client.ts'

const SCRIPT = fileURLToPath(new URL('../../../docker/probe.sh', import.meta.url))

/** The script with another port than that of the image. */
const probe = async (port: string, path: string): Promise<{ code: unknown; stdout: string }> => {
  const text = (await readFile(SCRIPT, 'utf8')).replace('/8091', `/${port}`)
  return new Promise((resolve) => {
    execFile('bash', ['-c', text, 'probe.sh', path], { timeout: 10_000 }, (error, stdout) =>
      resolve({ code: error === null ? 0 : error.code, stdout }),
    )
  })
}

test('the health check of the image asks by bash alone, and says by its exit code what it was told', async () => {
  await access(SCRIPT, constants.X_OK)
  const { source, state } = createSource()
  const { url, close } = await startHealthListener(source, { host: '127.0.0.1', port: 0 })
  const { port } = new URL(url)
  assert.deepEqual(await probe(port, '/readyz'), { code: 0, stdout: '{"ready":true,"reasons":[]}\n' })
  state.readiness = { ready: false, reasons: ['alone'] }
  assert.deepEqual(await probe(port, '/readyz'), { code: 1, stdout: '{"ready":false,"reasons":["alone"]}\n' })
  assert.equal((await probe(port, '/healthz')).code, 0)
  assert.equal((await probe(port, '/api/self')).code, 1)
  await close()
  assert.equal((await probe(port, '/healthz')).code, 1)
})
