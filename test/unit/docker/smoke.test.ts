import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('../../../docker/smoke.sh', import.meta.url))

const which = (tool: string): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile('sh', ['-c', `command -v ${tool}`], (error, stdout) =>
      error === null ? resolve(stdout.trim()) : reject(error),
    )
  })

test('where there is no engine to be had, the smoke test says so and exits with 77', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-tools-'))
  try {
    for (const tool of ['bash', 'date', 'dirname', 'mktemp', 'rm']) await symlink(await which(tool), join(folder, tool))
    const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>((resolve) => {
      const bash = join(folder, 'bash')
      execFile(bash, [SCRIPT], { env: { PATH: folder } }, (error, text) => resolve({ code: error?.code, stdout: text }))
    })
    assert.equal(stdout, 'smoke: skipped, there is no docker\n')
    assert.equal(code, 77)
  } finally {
    await rm(folder, { recursive: true })
  }
})
