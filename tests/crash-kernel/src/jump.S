/* [14] The code of the control page, position-independent.
 *
 * On entry: in the kernel's text, which begins with this code, on the kernel's page tables; R8 =
 *   control page, R9 = CR3 with four levels, in which the control page is mapped where this code
 *   is; RDI = entry point, RSI = CR3 and RDX = CR4 for the purgatory, RCX = 1 to leave GDT and IDT
 *   in place (Linux 7.2) or 0 to make them invalid (6.12).
 * On exit: in the purgatory, by a RET: RSP = control page + 0xff8 with 0 there, all other general
 *   registers 0, RFLAGS 0x46.
 */
    .section .text.jump, "ax", @progbits
    .global jump_start, jump_stop, jump_end
jump_start:
    cli
    cld
    /* The next instruction is the control page's. */
    movq    %r9, %cr3
    leaq    0xff8(%r8), %rsp
    movq    $0, (%rsp)
    leaq    1f - jump_start(%r8), %rax
    jmp     *%rax
1:
    /* The control page's GDT, so that the selectors are the purgatory's. */
    subq    $16, %rsp
    movw    ${GDT_LIMIT}, 6(%rsp)
    leaq    {GDT}(%r8), %rax
    movq    %rax, 8(%rsp)
    lgdt    6(%rsp)
    movl    $0x18, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %eax, %fs
    movl    %eax, %gs
    pushq   $0x10
    leaq    1f(%rip), %rax
    pushq   %rax
    lretq
1:
    cmpq    ${CR4_PAE}, %rdx
    jne     4f

    /* Four levels, as now. Global pages are flushed by the write to CR4. */
    movl    ${CR0}, %eax
    movq    %rax, %cr0
    movq    %rdx, %cr4
    movq    %rsi, %cr3
2:
    testq   %rcx, %rcx
    jz      3f
    movw    ${IDT_LIMIT}, 6(%rsp)
    leaq    {IDT}(%r8), %rax
    movq    %rax, 8(%rsp)
    lidt    6(%rsp)
    jmp     5f
3:
    movw    $0, 6(%rsp)
    movq    $0, 8(%rsp)
    lidt    6(%rsp)
    lgdt    6(%rsp)
5:
    addq    $16, %rsp
    pushq   %rdi
    pushq   $0
    popfq
    xorl    %eax, %eax
    xorl    %ebx, %ebx
    xorl    %ecx, %ecx
    xorl    %edx, %edx
    xorl    %esi, %esi
    xorl    %edi, %edi
    xorl    %ebp, %ebp
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    xorl    %r12d, %r12d
    xorl    %r13d, %r13d
    xorl    %r14d, %r14d
    xorl    %r15d, %r15d
    ret

    /* Five levels can be switched on only with paging off, so on 32-bit code; the control page
     * lies below 4 GiB. */
4:
    leaq    7f(%rip), %rbx
    movq    %r8, %rbp
    pushq   $0x08
    leaq    6f(%rip), %rax
    pushq   %rax
    lretq
    .code32
6:
    movl    ${CR0} & 0x7fffffff, %eax
    movl    %eax, %cr0
    movl    %edx, %cr4
    movl    %esi, %cr3
    movl    ${CR0}, %eax
    movl    %eax, %cr0
    /* Long mode is active again, since EFER.LME stayed set: back to 64-bit code. */
    pushl   $0x10
    pushl   %ebx
    lretl
    .code64
7:
    /* After legacy mode R8 to R15 and all upper halves are undefined (SDM vol. 1,
     * "General-Purpose Registers in 64-Bit Mode"); what is still needed lies below 4 GiB. */
    movl    %ebp, %r8d
    movl    %esp, %esp
    movl    %edi, %edi
    movl    %ecx, %ecx
    jmp     2b

    /* Handler of every vector of the control page's IDT. */
jump_stop:
    hlt
    jmp     jump_stop
jump_end:
    .text
