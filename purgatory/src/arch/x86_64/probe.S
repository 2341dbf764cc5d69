/* [4] One of each kind of instruction that digest's engine SHA-NI uses.
 *
 * On entry: SSE is on. The handler of #UD resumes at probe_missing if the instruction is between
 *   the marks.
 * On exit: EAX = 1 if the CPU has them all, else 0.
 * Clobbers: XMM0 and XMM1, and what the handler of #UD clobbers, which is within the ABI.
 */
    .section .text.probe, "ax", @progbits
    .global probe_sha_ni
    .type probe_sha_ni, @function
probe_sha_ni:
    .global probe_begin
probe_begin:
    pshufb  %xmm1, %xmm0                /* SSSE3 */
    palignr $4, %xmm1, %xmm0
    pblendw $0xf0, %xmm1, %xmm0         /* SSE4.1 */
    sha256rnds2 %xmm0, %xmm1, %xmm0     /* SHA */
    sha256msg1 %xmm1, %xmm0
    sha256msg2 %xmm1, %xmm0
    .global probe_end
probe_end:
    movl    $1, %eax
    ret
    .global probe_missing
probe_missing:
    xorl    %eax, %eax
    ret
    .text
