/* [4c] Copies memory that may not be readable.
 *
 * On entry: RDI = to, RSI = from, RDX = length in bytes. DF is 0.
 * On exit: EAX = 1 if all was copied. EAX = 0 if an exception was raised meanwhile: its handler
 *   resumes at try_copy_failed.
 * Clobbers: RCX, RDI, RSI, and what the handler clobbers, which is within the ABI.
 */
    .section .text.try_copy, "ax", @progbits
    .global try_copy
    .type try_copy, @function
try_copy:
    movq    %rdx, %rcx
    .global try_copy_begin
try_copy_begin:
    rep movsb
    .global try_copy_end
try_copy_end:
    movl    $1, %eax
    ret
    .global try_copy_failed
try_copy_failed:
    xorl    %eax, %eax
    ret
    .text
