/** What `parley doctor` says of the certificate for WebSocket addresses, where there is one. Keeps no state. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isParleyError } from '../../../protocols/errors.ts'
import { octal, opensToOthers, readSmallFile } from '../../platform/private-file.ts'
import { isMountedForGroup } from '../../trust/secret.ts'
import { type DoctorCheck, type Finding, fail, failOf, messageOf, ok, warn } from './check-finding.ts'

const NAME = 'certificate'
const MAX_PEM_BYTES = 1 << 20
const DAY_MS = 86_400_000
/** Who renews certificates does so by then. */
const SOON_MS = 14 * DAY_MS

const judge = (certificate: X509Certificate, certFile: string, nowMs: number): Finding => {
  const endsAt = Date.parse(certificate.validTo)
  const seen = `${certFile} is for ${certificate.subjectAltName ?? certificate.subject}, valid until ${certificate.validTo}`
  if (Date.parse(certificate.validFrom) > nowMs)
    return fail(NAME, `${certFile} is valid from ${certificate.validFrom} on only`, 'see the clock of this machine')
  if (endsAt <= nowMs) return fail(NAME, `${seen}, which is past`, 'renew it, and restart the node')
  return endsAt - nowMs < SOON_MS ? warn(NAME, seen, 'renew it, and restart the node') : ok(NAME, seen)
}

/** @throws STA003 where it cannot be read */
const read = async (path: string): Promise<{ pem: Buffer; isOpen: boolean; mode: number }> => {
  let [isOpen, mode] = [false, 0]
  const bytes = await readSmallFile(path, MAX_PEM_BYTES, async (handle) => {
    const file = await handle.stat()
    mode = file.mode
    isOpen = opensToOthers(mode) && !isMountedForGroup(file, process.getuid?.() ?? 0)
  })
  if (bytes === undefined) throw new Error(`${path} does not exist`)
  return { pem: Buffer.from(bytes), isOpen, mode }
}

export const certificateFinding: DoctorCheck = {
  name: NAME,
  async run({ options: { tls } }) {
    if (tls === undefined) return []
    const todo = 'name a certificate and its key, both PEM'
    try {
      const [cert, key] = await Promise.all([read(tls.certFile), read(tls.keyFile)])
      const parsed = new X509Certificate(cert.pem)
      if (!parsed.checkPrivateKey(createPrivateKey(key.pem)))
        return [fail(NAME, `${tls.keyFile} is not the key of ${tls.certFile}`, todo)]
      if (key.isOpen) {
        const seen = `${tls.keyFile} has mode ${octal(key.mode)}: others on this machine can read it`
        return [warn(NAME, seen, `chmod 600 ${tls.keyFile}`)]
      }
      return [judge(parsed, tls.certFile, Date.now())]
    } catch (error) {
      return [isParleyError(error) ? failOf(NAME, error) : fail(NAME, messageOf(error), todo)]
    }
  },
}
