import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { startCommand } from '../support/command.ts'
import { testFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'

test('parley up takes a free port for the debug page where the wanted one is taken, and one for health where it is asked to', async (t) => {
  const other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  const args = [
    'up',
    '--json',
    '--debug-port',
    String(address.port),
    '--health-port',
    '0',
    '--health-host',
    '127.0.0.1',
  ]
  const running = startCommand(args, { cwd: await testFolder(t) })
  t.after(() => running.child.kill('SIGKILL'))
  const line = await until('it is up', () => /^\{.*\}$/m.exec(running.stdout())?.[0], 30_000)
  const { debugUrl, healthUrl } = JSON.parse(line) as { debugUrl: string; healthUrl: string }
  assert.notEqual(new URL(debugUrl).port, String(address.port))
  assert.match(running.stderr(), new RegExp(`the debug port ${address.port} is taken`))
  assert.ok(running.stderr().includes(debugUrl))
  const page = await fetch(debugUrl)
  assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=utf-8'])
  const ready = await fetch(`${healthUrl}/healthz`)
  assert.deepEqual([ready.status, new URL(healthUrl).hostname], [200, '127.0.0.1'])
  running.child.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
})
