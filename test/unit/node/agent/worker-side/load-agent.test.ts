import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { AgentPort } from '../../../../../node/agent/define-agent.ts'
import { loadAgent } from '../../../../../node/agent/worker-side/load-agent.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

const FILES: Record<string, string> = {
  'broken.mjs': 'const a = 1\nconst b = = 2\nexport default { offers: [a, b] }\n',
  'broken.ts': 'const a: number = 1\nconst c = 3\nconst b: number = = 2\nexport default { offers: [a, b, c] }\n',
  'imports-broken.ts': "import './broken.ts'\n\nexport default { offers: [] }\n",
  'imports-nothing.ts': "export const a = 1\nimport { nope } from 'node:fs'\nexport default { offers: [nope] }\n",
  'throws.ts': "\n\nthrow new Error('no key')\n",
}

describe('an agent module that cannot be loaded', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-agents-'))
    await Promise.all(Object.entries(FILES).map(([name, text]) => writeFile(join(folder, name), text)))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const said = async (name: string): Promise<string> => {
    // None of these asks its node for anything.
    const error = await loadAgent(join(folder, name), {} as AgentPort).catch((failure: unknown) => failure)
    assert.ok(isParleyError(error, 'MSG001'), String(error))
    return error.message
  }

  it('is named with the file and the line that cannot be read, in TypeScript and in JavaScript', async () => {
    assert.ok((await said('broken.mjs')).includes(`${join(folder, 'broken.mjs')}:2)`))
    assert.ok((await said('broken.ts')).includes(`${join(folder, 'broken.ts')}:3)`))
    assert.ok((await said('imports-broken.ts')).includes(`${join(folder, 'broken.ts')}:3)`))
  })

  it('is named with the line that asks for what is not there, and with the one that throws', async () => {
    assert.ok((await said('imports-nothing.ts')).includes(`${join(folder, 'imports-nothing.ts')}:2)`))
    const thrown = await said('throws.ts')
    assert.match(thrown, /Error: no key \(/)
    assert.ok(thrown.includes(`${join(folder, 'throws.ts')}:3)`))
  })
})
