/** `parley secret`: makes one, and prints it or writes it to a file that only its owner can read. Keeps no state. */
import { writeFile } from 'node:fs/promises'
import { ParleyError } from '../../../../protocols/errors.ts'
import { FILE_MODE, fileError, systemCode } from '../../../platform/private-file.ts'
import { makeSecret } from '../../../trust/secret.ts'

/** @throws STA003 when there is such a file already, or it cannot be written */
export const printSecret = async ({ out }: { out?: string }): Promise<void> => {
  const secret = makeSecret()
  if (out === undefined) {
    process.stdout.write(`${secret}\n`)
    return
  }
  try {
    await writeFile(out, `${secret}\n`, { flag: 'wx', mode: FILE_MODE })
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw fileError('writing', out, error)
    throw new ParleyError('STA003', `${out} exists already and is left as it is`, {
      hint: 'nodes that use it would lose each other with a new one; name another file, or remove it yourself',
      details: { reason: 'exists' },
    })
  }
  process.stderr.write(`wrote a new secret to ${out}; give it to every node of the mesh\n`)
}
