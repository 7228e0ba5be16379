/**
 * Bytes are flipped in the middle of a node's log while it is down. It does not start, and says how to go on; the others
 * decide on. Repaired as it says, it comes back as a new member, and votes again.
 */
import { execFile } from 'node:child_process'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { JOURNAL_FOLDER } from '../../../node/coordination.ts'
import { refusalOf } from '../nodes.ts'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

const FLIPPED = 3
const PARLEY = fileURLToPath(new URL('../../../node/cli/bin.js', import.meta.url))
const run = promisify(execFile)

/** @returns the file, and where in it */
const flip = async (dataDir: string): Promise<string> => {
  const folder = join(dataDir, JOURNAL_FOLDER)
  const names = (await readdir(folder)).filter((name) => /^\d+\.log$/.test(name)).sort()
  const file = join(folder, names.at(-1) ?? '')
  const at = Math.floor((await stat(file)).size / 2)
  const handle = await open(file, 'r+')
  try {
    const bytes = Buffer.alloc(FLIPPED)
    await handle.read(bytes, 0, FLIPPED, at)
    await handle.write(
      bytes.map((byte) => byte ^ 0xff),
      0,
      FLIPPED,
      at,
    )
  } finally {
    await handle.close()
  }
  return `${names.at(-1)} at ${at}`
}

export const damaged = async (stage: Stage): Promise<Findings> => {
  const { nodes, load, random } = stage
  const violations: string[] = []
  const leader = await stage.coordinator()
  const node = random.pick(nodes.filter((one) => one !== leader)) ?? leader
  const before = await stage.term()
  await node.kill()
  const where = await flip(node.dataDir)
  const refusal = await refusalOf(node)
  if (refusal === undefined) violations.push(`${node.name} started, although ${where} is damaged`)
  else {
    const { code, reason, hint } = refusal
    if (code !== 'STA003' || reason !== 'damaged' || !hint.includes('parley store'))
      violations.push(`${node.name} was refused with ${code} ${reason}: ${hint}`)
  }
  const decided = await load.probe()
  const terms = (await stage.term()) - before
  if (terms > 0) violations.push(`${terms} terms ended among the others`)
  const at = performance.now()
  if (refusal !== undefined) {
    await run(process.execPath, [PARLEY, 'store', 'repair', '--data-dir', node.dataDir])
    await node.start()
  }
  await stage.caughtUp(node)
  return {
    figures: {
      'starts refused': refusal === undefined ? 0 : 1,
      'others decide, ms': decided,
      'repaired and voting, ms': performance.now() - at,
    },
    violations,
  }
}
