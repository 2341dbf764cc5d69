/* [1] From the kernel's jump to Rust.
 *
 * On entry:
 *   64-bit mode, one-to-one mapping, IF = 0, all general registers 0, RSP in the kernel's control
 *   page. SSE is off.
 *   GDT and IDT are invalid (Linux 6.12) or the kernel's (7.2).
 *   An NMI may arrive at any instruction. Until LIDT below it resets the machine (6.12) or hangs it
 *   (7.2), so LIDT comes early.
 * On exit:
 *   Own stack, GDT, TSS and IDT. SSE and machine checks are on.
 *   RDI = RSP on entry. In the program's `tell`, which never returns.
 *   From here on every exception ends as a verdict. So nothing before this point may raise one in a
 *   confidential guest, and RDTSC can.
 * Clobbers: everything. Only integer instructions until CR4 allows others.
 */
    .section .text.entry, "ax", @progbits
    .global purgatory_start
    .type purgatory_start, @function
purgatory_start:
    cli
    cld
    movq    %rsp, %rbx
    leaq    __stack_top(%rip), %rsp

    /* GDT, written at run time because LTR marks the task state segment busy in it. It has flat
     * segments with accessed bits set, at the selectors that boot.rst asks for, and the task
     * state segment, whose base is scattered over the descriptor (SDM vol. 3A, "TSS descriptor
     * in 64-bit mode"). */
    leaq    gdt(%rip), %rdi
    xorl    %eax, %eax
    movq    %rax, 0x00(%rdi)
    movq    %rax, 0x08(%rdi)
    movabsq $0x00af9b000000ffff, %rax   /* 64-bit code, readable */
    movq    %rax, {BOOT_CS}(%rdi)
    movabsq $0x00cf93000000ffff, %rax   /* data, writable */
    movq    %rax, {BOOT_DS}(%rdi)
    leaq    tss(%rip), %rax
    movw    $({TSS_SIZE} - 1), {TSS_SELECTOR}+0(%rdi)
    movw    %ax, {TSS_SELECTOR}+2(%rdi)
    shrq    $16, %rax
    movb    %al, {TSS_SELECTOR}+4(%rdi)
    movw    $0x0089, {TSS_SELECTOR}+5(%rdi) /* present, DPL 0, available 64-bit TSS */
    movb    %ah, {TSS_SELECTOR}+7(%rdi)
    shrq    $16, %rax
    movq    %rax, {TSS_SELECTOR}+8(%rdi)
    /* Limit, then address, in ten bytes on the stack. */
    subq    $16, %rsp
    movw    $(gdt_end - gdt - 1), 6(%rsp)
    movq    %rdi, 8(%rsp)
    lgdt    6(%rsp)
    movl    ${BOOT_DS}, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %eax, %fs
    movl    %eax, %gs
    pushq   ${BOOT_CS}
    leaq    1f(%rip), %rax
    pushq   %rax
    lretq
1:
    /* The task register still names the old kernel's TSS, which is not mapped. The CPU reads one
     * field of ours: the stack on which exceptions are delivered. So they are delivered even if
     * RSP is wrong. */
    leaq    __trap_stack_top(%rip), %rax
    movq    %rax, tss+{TSS_IST1}(%rip)
    movl    ${TSS_SELECTOR}, %eax
    ltr     %ax
    /* IDT: interrupt gates on that stack. NMI stays on the interrupted stack, because it may
     * interrupt an exception and returns. */
    leaq    idt(%rip), %rdi
    leaq    trap_stubs(%rip), %rsi
    xorl    %ecx, %ecx
2:  movq    %rsi, %rax
    movw    %ax, 0(%rdi)
    movw    ${BOOT_CS}, 2(%rdi)
    /* Present, DPL 0, 64-bit interrupt gate, IST 1 (SDM vol. 3A, "64-bit mode IDT"). */
    movw    $0x8e01, 4(%rdi)
    shrq    $16, %rax
    movw    %ax, 6(%rdi)
    shrq    $16, %rax
    movl    %eax, 8(%rdi)
    movl    $0, 12(%rdi)
    addq    $16, %rdi
    addq    ${STUB_SIZE}, %rsi
    incl    %ecx
    cmpl    ${VECTORS}, %ecx
    jne     2b
    movb    $0, idt+{NMI}*16+4(%rip)    /* IST 0 */
    /* No digest covers these, so a stray write may have changed them. */
    movl    $0, traps(%rip)
    movl    $0, {nmis}(%rip)
    movw    $({VECTORS} * 16 - 1), 6(%rsp)
    leaq    idt(%rip), %rax
    movq    %rax, 8(%rsp)
    lidt    6(%rsp)

    /* SSE and machine checks on. leave.S and enter.S restore both registers. The next kernel
     * keeps CR4.MCE as it finds it. Until that kernel has a handler, a machine check with MCE
     * off resets the machine, but one with MCE on hangs it in an early exception (startup_64,
     * arch/x86/kernel/head_64.S; early_fixup_exception, arch/x86/mm/extable.c). */
    movq    %cr0, %rax
    movq    %rax, saved_cr0(%rip)
    andq    ${CR0_NOT_EM_TS}, %rax
    orq     ${CR0_MP}, %rax
    movq    %rax, %cr0
    movq    %cr4, %rax
    movq    %rax, saved_cr4(%rip)
    orq     ${CR4_ON}, %rax
    movq    %rax, %cr4
    movl    ${MXCSR_RESET}, 8(%rsp)
    ldmxcsr 8(%rsp)

    addq    $16, %rsp
    movq    %rbx, %rdi
    xorl    %ebp, %ebp
    call    {tell}
    ud2
    .size   purgatory_start, . - purgatory_start

    .section .bss.entry, "aw", @nobits
    .balign 16
idt:
    .skip   {VECTORS} * 16
gdt:
    .skip   {TSS_SELECTOR} + 16
gdt_end:
    .balign 16
tss:
    .skip   {TSS_SIZE}
    .global saved_cr0
saved_cr0:
    .skip   8
    .global saved_cr4
saved_cr4:
    .skip   8
    .text
